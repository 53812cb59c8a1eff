"""Real PostgreSQL, Redis and a Kafka-protocol broker as child processes, for a start without Docker.

For `make run` and `make test` only. The shop does not import it, except that the settings read run.json.
"""
