from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="TokenRequest")


@_attrs_define
class TokenRequest:
    """Name and password. Spaces at the end of a password are significant."""

    username: str
    password: str
    otp: str | Unset = UNSET
    """ For staff with a second factor: its code, or a recovery code. """

    def to_dict(self) -> dict[str, Any]:
        username = self.username

        password = self.password

        otp = self.otp

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "username": username,
                "password": password,
            }
        )
        if otp is not UNSET:
            field_dict["otp"] = otp

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        username = d.pop("username")

        password = d.pop("password")

        otp = d.pop("otp", UNSET)

        token_request = cls(
            username=username,
            password=password,
            otp=otp,
        )

        return token_request
