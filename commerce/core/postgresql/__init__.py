"""Django's PostgreSQL engine with a connection check that costs no round trip."""
