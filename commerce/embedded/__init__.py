"""Real PostgreSQL, Redis and a Kafka-protocol broker as child processes, for a start without Docker.

Serves `make run` and `make test` only; nothing here is imported by the shop, save the settings' look at run.json.
"""
