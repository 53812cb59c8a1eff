"""Tests of the whole system, and the servers that all tests use."""
