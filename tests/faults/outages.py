"""`python -m tests.faults.outages`, which `make test-outages` runs: orders are placed during one outage after another.

Contains the arguments, the start and stop of the servers, and the exit code. The run is in `outage_run`.
"""

import argparse
import sys
from pathlib import Path

from tests.faults.__main__ import KEPT, on_servers
from tests.faults.servers import Servers
from tests.kafka.jars import KafkaUnavailable, kafka_jars


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.outages", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="about how long orders flow (default %(default)s)")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second, all clients together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kafka", choices=("apache", "embedded"), help="default: Apache Kafka where it can be had")
    parser.add_argument("--json", type=Path, default=KEPT / "outages.json")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs behind")
    return parser.parse_args()


def main() -> int:
    """0 if nothing was lost; 1 otherwise."""
    asked = parsed()
    asked.kafka = asked.kafka or _best_kafka()

    def work(servers: Servers) -> int:
        # Settings, and therefore models, exist only from here on.
        from tests.faults.outage_run import run_outages

        return run_outages(servers, asked)

    return on_servers(work, kafka=asked.kafka, keep=asked.keep)


def _best_kafka() -> str:
    try:
        kafka_jars()
    except KafkaUnavailable as unavailable:
        print(f"{unavailable}\nTHE BROKER OF THIS RUN IS THE EMBEDDED ONE: IT IS PAUSED, NEVER KILLED.", flush=True)
        return "embedded"
    return "apache"


if __name__ == "__main__":
    sys.exit(main())
