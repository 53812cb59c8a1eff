"""What every test of the project may ask for; the fixtures themselves are in `tests.fixtures`.

Stands at the top because the apps keep their own tests; never defines anything itself.
"""

pytest_plugins = ["tests.fixtures", "tests.properties.profiles"]
