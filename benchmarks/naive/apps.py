"""The usual implementation as an app of its own settings."""

from django.apps import AppConfig


class NaiveConfig(AppConfig):
    name = "benchmarks.naive"
    label = "naive"
