"""Tests on Apache Kafka itself: what the in-memory broker of the other tests cannot show."""
