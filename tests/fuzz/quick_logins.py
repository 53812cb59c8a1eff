"""The shop's web application with one iteration of the password hash, because a fuzzer logs in many times.

Only for tests.
"""

from commerce.asgi import application
from commerce.core.passwords import PBKDF2InThread

PBKDF2InThread.iterations = 1

__all__ = ["application"]
