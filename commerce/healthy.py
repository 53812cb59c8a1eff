"""`python -m commerce.healthy http://127.0.0.1:8000/readyz`: the health check of a container.

Exit code 0 if the address answers with 200 within `ANSWER_SECONDS`, otherwise 1 and the reason. Reads no settings.
"""

import sys
from http.client import HTTPException
from urllib.request import urlopen

ANSWER_SECONDS = 3.0


def reason_against(address: str) -> str:
    """Why the process at this address is not healthy; empty if it is healthy."""
    try:
        with urlopen(address, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  # the address of a container's own process
            return "" if answer.status == 200 else f"HTTP {answer.status}"
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__


def main() -> None:
    """Check the address that is the only argument."""
    [address] = sys.argv[1:]
    reason = reason_against(address)
    if reason:
        sys.stderr.write(f"{address}: {reason}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
