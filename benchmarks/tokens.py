"""Access tokens of the data set's customers, in a file for the load generator. They are signed with the shop's key."""

import base64
import hashlib
import hmac
import time
from pathlib import Path

_HOURS = 20


class TokenMint:
    """Signs access tokens that are valid for 20 hours from now."""

    def __init__(self, signing_key: str) -> None:
        self._key = hmac.new(signing_key.encode(), digestmod=hashlib.sha256)
        key_id = hmac.new(signing_key.encode(), b"kid", hashlib.sha256).hexdigest()[:16]
        self._now = int(time.time())
        self._header = _encoded(f'{{"alg":"HS256","kid":"{key_id}","typ":"JWT"}}'.encode())

    def token(self, user_id: int) -> str:
        """The token of one customer, in the format of the shop's own (`manage.py mint_tokens`)."""
        claims = (
            f'{{"token_type":"access","exp":{self._now + _HOURS * 3600},"iat":{self._now},'
            f'"jti":"{user_id:032x}","userId":{user_id}}}'
        )
        content = self._header + b"." + _encoded(claims.encode())
        signer = self._key.copy()
        signer.update(content)
        return (content + b"." + _encoded(signer.digest())).decode()

    def write(self, path: Path, *, customers: int) -> None:
        """Write one line per customer from id 1: line n contains the token of customer n."""
        with path.open("w") as file:
            for user_id in range(1, customers + 1):
                file.write(self.token(user_id) + "\n")


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
