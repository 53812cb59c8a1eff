"""How hard Hypothesis looks: `short` in every run, `long` on demand (`HYPOTHESIS_PROFILE=long make test ARGS=…`).

Owns the settings of every property test of the project; never keeps examples between runs, so that nothing is written
into the tree and a run depends on the code alone. `short` always tries the same examples, `long` new ones every time:
a failure prints the example, which then belongs into a test of its own.
"""

import os

from hypothesis import HealthCheck, settings

# A busy machine is slow, and slowness is no defect of what is tested here.
_PATIENT = settings(deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("short", _PATIENT, derandomize=True, max_examples=100, stateful_step_count=30)
settings.register_profile("long", _PATIENT, derandomize=False, max_examples=3_000, stateful_step_count=50)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
