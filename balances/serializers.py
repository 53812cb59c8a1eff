"""Serializers of the wallet and of logins."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from balances.models import EntryType, LedgerEntry
from balances.rules import LARGEST_CHARGE_WON, SMALLEST_CHARGE_WON, Entry
from commerce.api.fields import BodySerializer, DayParameter, IdField, IdParameter, ReasonField, StrictIntegerField
from commerce.core.days import FIRST_DAY, LAST_DAY
from commerce.core.times import local_time


class AccountSerializer(serializers.Serializer[Any]):
    userId = serializers.IntegerField()
    username = serializers.CharField()
    isStaff = serializers.BooleanField()


class BalanceSerializer(serializers.Serializer[Any]):
    userId = serializers.IntegerField()
    balance = serializers.IntegerField(help_text="Won.")


@extend_schema_serializer(examples=[OpenApiExample("One's own balance", {"amount": 10_000}, request_only=True)])
class ChargeRequestSerializer(BodySerializer):
    """A charge: amount and account."""

    userId = IdField(required=False, help_text="Default: the caller.")
    reason = ReasonField()
    amount = StrictIntegerField(min_value=SMALLEST_CHARGE_WON, max_value=LARGEST_CHARGE_WON, help_text="Won to add.")


def entry_as_json(entry: Entry | LedgerEntry) -> dict[str, Any]:
    """A ledger entry as the API returns it."""
    return {
        "id": entry.id,
        "type": entry.type,
        "amount": entry.amount,
        "balanceAfter": entry.balance_after,
        "orderId": entry.order_id,
        "createdAt": local_time(entry.created_at),
    }


def charge_as_json(entry: Entry) -> dict[str, Any]:
    """A charge as the API returns it."""
    return {"userId": entry.user_id, "balance": entry.balance_after, "transaction": entry_as_json(entry)}


class LedgerEntrySerializer(serializers.Serializer[LedgerEntry]):
    """One change of a balance. The balance is the sum of all entries of the account."""

    # The fields are declared for the schema; the values are those of `entry_as_json`.

    id = serializers.IntegerField()
    type = serializers.ChoiceField(choices=EntryType.choices)
    amount = serializers.IntegerField(help_text="Won, signed.")
    balanceAfter = serializers.IntegerField()
    orderId = serializers.IntegerField(allow_null=True)
    createdAt = serializers.DateTimeField()

    def to_representation(self, instance: LedgerEntry) -> dict[str, Any]:
        return entry_as_json(instance)


class ChargeSerializer(serializers.Serializer[Any]):
    """The balance after a charge, and its entry in the history."""

    # Documents `charge_as_json`.

    userId = serializers.IntegerField()
    balance = serializers.IntegerField()
    transaction = LedgerEntrySerializer()


DAYS = f"From {FIRST_DAY} to {LAST_DAY}."


class HistoryQuerySerializer(serializers.Serializer[Any]):
    """`from` and `to` are days of the shop, both inclusive."""

    userId = IdParameter(required=False, help_text="Staff only.")
    type = serializers.ChoiceField(choices=EntryType.choices, required=False, help_text="Only entries of this type.")
    to = DayParameter(required=False, help_text=DAYS)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `from` is a Python keyword, so the field cannot be declared above.
        return {**super().get_fields(), "from": DayParameter(required=False, help_text=DAYS)}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "from" in attrs and "to" in attrs and attrs["from"] > attrs["to"]:
            raise serializers.ValidationError({"to": _("`to` is before `from`.")}, code="invalid")
        return attrs


@extend_schema_serializer(
    examples=[OpenApiExample("A demo customer", {"username": "customer1", "password": "customer"}, request_only=True)]
)
class TokenRequestSerializer(BodySerializer):
    """Name and password. Spaces at the end of a password are significant."""

    username = serializers.CharField(max_length=150, trim_whitespace=False)
    password = serializers.CharField(max_length=128, trim_whitespace=False)
    otp = serializers.CharField(
        required=False,
        max_length=32,
        help_text="For staff with a second factor: its code, or a recovery code.",
    )


class TokenSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class RefreshRequestSerializer(BodySerializer):
    """The refresh token."""

    refresh = serializers.CharField(max_length=4096, trim_whitespace=False)


class AccessSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
