"""The benchmark of `make bench`: the shop over HTTP, with its limit and a usual implementation measured beside it.

Drives the shop from outside only, by HTTP, SQL and its commands; the shop never imports it.
"""
