"""The usual implementation for the third column: Django REST framework as in most tutorials.

It does less than the shop: no idempotency keys, no hashes, no stock movements, no dispatcher for its outbox.
"""
