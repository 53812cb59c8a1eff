"""Low limits of the gateway, which a few requests reach.

Made from `deploy/gateway/limits.conf`, so that a renamed zone is detected.
"""

import re

from commerce.embedded.gateway import without_limits

NO_LIMITS = without_limits()


def limits(
    *, of_address: int | None = None, of_caller: int | None = None, at_one_time: int | None = None
) -> dict[str, str]:
    """`files` of a gateway that allows so many requests, and one more per minute; None: unlimited."""
    text = NO_LIMITS["limits.conf"]
    for zone, most in (("requests_of_address", of_address), ("requests_of_caller", of_caller)):
        if most is not None:
            text, rates = re.subn(rf"(zone={zone}:10m rate=)[\w/]+", r"\g<1>1r/m", text)
            burst = f" burst={most - 1} nodelay" if most > 1 else ""
            text, bursts = re.subn(rf"(limit_req zone={zone}) burst=\d+ nodelay", rf"\g<1>{burst}", text)
            assert rates == bursts == 1
    if at_one_time is not None:
        text, counts = re.subn(r"(limit_conn at_one_time_of_address )\d+", rf"\g<1>{at_one_time}", text)
        assert counts == 1
    return {"limits.conf": text}
