"""Rows that are old enough leave the database for files, and leave behind what the books are proved by.

docs/retention.md says what goes, when, and how it is read again.
"""
