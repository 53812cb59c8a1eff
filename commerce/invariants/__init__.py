"""The invariants of the shop's data, and queries that find violations. Repairs nothing."""
