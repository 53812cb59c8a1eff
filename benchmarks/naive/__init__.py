"""The usual implementation, as a third column: Django REST framework the way most tutorials write it.

Does less than the shop: no idempotency keys, no hashes, no stock movements, no dispatcher for its outbox.
"""
