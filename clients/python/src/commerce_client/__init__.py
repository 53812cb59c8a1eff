"""A client of the Commerce API: `Shop`. Its methods return models of `commerce_client.models` and raise `ProblemError`
for refusals. `commerce_client.webhooks` is for the receiver of orders.
"""

from commerce_client.errors import NoAnswer, ProblemError, UnreadableAnswer
from commerce_client.shop import Shop

__all__ = ["NoAnswer", "ProblemError", "Shop", "UnreadableAnswer"]
