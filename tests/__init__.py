"""Tests of the whole system, and the servers every test runs on."""
