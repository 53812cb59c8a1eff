"""The benchmark of `make bench`: measures the shop over HTTP and compares it with a limit and a usual implementation.

It uses the shop only by HTTP, SQL and commands. The shop does not import it.
"""
