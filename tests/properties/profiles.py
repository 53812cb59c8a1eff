"""Hypothesis profiles: `short` in every run, `long` on demand (`HYPOTHESIS_PROFILE=long make test ARGS=…`).

Contains the settings of all property tests. Examples are not stored between runs, so that a run depends only on the
code and writes no files. `short` always tries the same examples, `long` new ones every time: a failure prints the
example, which should then get its own test.
"""

import os

from hypothesis import HealthCheck, settings

# No deadline, because slowness of a busy machine is not a defect.
_PATIENT = settings(deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("short", _PATIENT, derandomize=True, max_examples=100, stateful_step_count=30)
settings.register_profile("long", _PATIENT, derandomize=False, max_examples=3_000, stateful_step_count=50)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
