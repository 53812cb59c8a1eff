"""Password hashing beside the event loop: one password takes a tenth of a second of computing."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from commerce.core.waiting import in_thread


class PBKDF2InThread(PBKDF2PasswordHasher):
    """Django's default, in a thread where a request of the API asks."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return in_thread(lambda: super(PBKDF2InThread, self).encode(password, salt, iterations))
