"""`python -m tests.cluster`, which `make test-cluster` runs: kills members of clusters under load, and runs the judge.

Contains the arguments and the exit code. The runs are those of `tests.faults`.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from commerce.embedded.children import PROJECT_ROOT
from tests.cluster.patroni import ClusterUnavailable, install
from tests.faults.__main__ import on_servers
from tests.faults.servers import Servers

KEPT = PROJECT_ROOT / ".local" / "cluster"
KINDS = ("postgresql", "kafka", "redis")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--of", choices=KINDS, help="only the cluster of this kind; default: one after the other")
    parser.add_argument("--fault", action="append", default=[], metavar="C1", help="only this one; repeatable")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0, help="how long a fault strikes; 0: once")
    parser.add_argument("--clients", type=int, default=16, help="how many shop at once (default %(default)s)")
    parser.add_argument("--without-controls", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs behind")
    return parser.parse_args()


def main() -> int:
    """0: success; 1: a violation, a member that was not replaced in time, or a control that passed."""
    asked = parsed()
    if asked.of is None:
        # Django can be set up for only one set of servers per process.
        command = [sys.executable, "-m", "tests.cluster", *sys.argv[1:]]
        return max(subprocess.run([*command, "--of", kind], check=False).returncode for kind in KINDS)  # noqa: S603  # ours
    asked.kafka = "apache" if asked.of == "kafka" else "embedded"
    asked.seeds, asked.short = 1, False
    asked.json = Path(KEPT / f"{asked.of}.json")
    if asked.of == "postgresql":
        try:
            install()
        except ClusterUnavailable as unavailable:
            sys.stderr.write(f"NOTHING WAS TESTED. {unavailable}\n")
            return 1
    began = time.monotonic()

    def work(servers: Servers) -> int:
        # Settings, and therefore models, exist only from here on.
        from tests.cluster import faults
        from tests.faults.campaign import run_all
        from tests.faults.fault import Fault

        every: dict[str, list[Fault]] = {
            "postgresql": [faults.LeaderKilled(), faults.StandbyKilled(), faults.SwitchedOver()],
            "kafka": [faults.BrokerKilled()],
            "redis": [faults.RedisPrimaryKilled()],
        }
        known = [fault for fault in every[asked.of] if not asked.fault or fault.number in asked.fault]
        # C3 has none: docs/cluster.md.
        with_control = {"C1", "C2", "C4", "C5"} if not asked.without_controls else set()
        return run_all(servers, asked, began=began, known=known, controls=with_control)

    from tests.cluster.servers import WithBrokers, WithPatroni, WithSentinels

    kind = {"postgresql": WithPatroni, "kafka": WithBrokers, "redis": WithSentinels}[asked.of]
    return on_servers(work, kafka=asked.kafka, keep=asked.keep, kind=kind)


if __name__ == "__main__":
    sys.exit(main())
