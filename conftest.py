"""Makes the fixtures of `tests.fixtures` available to all tests, those of the apps included."""

pytest_plugins = ["tests.fixtures", "tests.properties.profiles"]
