"""Moves old rows from the database to files, and keeps checkpoints from which the invariants are still verified.

docs/retention.md describes what is archived, when, and how to read it.
"""
