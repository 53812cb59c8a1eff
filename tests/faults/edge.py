"""`python -m tests.faults.edge`, which `make test-edge` runs: a thousand simultaneous buyers, more connections than are
possible, and a long steady load.

Contains the arguments. The runs are defined in `load`.
"""

import argparse
import sys
from pathlib import Path

from tests.faults.__main__ import KEPT, on_servers
from tests.faults.servers import Servers


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.edge", description=__doc__)
    parser.add_argument("--buyers", type=int, default=1_000, help="of each rush (default %(default)s)")
    parser.add_argument("--connections", type=int, default=3_000, help="at once, for more than there is room")
    parser.add_argument("--soak-minutes", type=float, default=10.0, help="of steady load; 0: none")
    parser.add_argument("--clients", type=int, default=16, help="of the steady load")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=KEPT / "edge.json")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs behind")
    return parser.parse_args()


def main() -> int:
    """0 if there was no violation; 1 otherwise."""
    asked = parsed()

    def work(servers: Servers) -> int:
        # Settings, and therefore models, exist only from here on.
        from tests.faults.load import to_the_edge

        return to_the_edge(servers, asked)

    return on_servers(work, kafka="embedded", keep=asked.keep)


if __name__ == "__main__":
    sys.exit(main())
