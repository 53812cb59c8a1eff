"""A client of the Commerce API.

`Shop` is the way in. What it answers are the models of `commerce_client.models`; what the shop refuses is raised as
`ProblemError`. `commerce_client.webhooks` is for the receiver of orders.
"""

from commerce_client.errors import NoAnswer, ProblemError, UnreadableAnswer
from commerce_client.shop import Shop

__all__ = ["NoAnswer", "ProblemError", "Shop", "UnreadableAnswer"]
