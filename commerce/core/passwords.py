"""Password hashing outside the event loop's thread: one hash takes a tenth of a second of processor time."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from commerce.core.waiting import in_thread


class PBKDF2InThread(PBKDF2PasswordHasher):
    """Django's default hasher. For requests of the API it runs in a thread."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return in_thread(lambda: super(PBKDF2InThread, self).encode(password, salt, iterations))
