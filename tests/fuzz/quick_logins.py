"""The shop's web application with one round of the password's hash: a fuzzer logs in many times.

Never runs outside the tests.
"""

from commerce.asgi import application
from commerce.core.passwords import PBKDF2InThread

PBKDF2InThread.iterations = 1

__all__ = ["application"]
