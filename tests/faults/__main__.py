"""`python -m tests.faults`, which `make test-faults` runs: every fault, each with its control, and a table of it all.

Contains the arguments, the start and stop of the servers, and the exit code. `runner` executes the runs.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django

from commerce.embedded.children import PROJECT_ROOT
from commerce.embedded.errors import EmbeddedError
from tests.faults.servers import Servers
from tests.kafka.jars import KafkaUnavailable

KEPT = PROJECT_ROOT / ".local" / "faults"


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--fault", action="append", default=[], metavar="F1", help="only this one; repeatable")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long a fault strikes (default %(default)s)")
    parser.add_argument("--clients", type=int, default=16, help="how many shop at once (default %(default)s)")
    parser.add_argument("--short", action="store_true", help="most faults, with no more shots than must be")
    parser.add_argument("--without-controls", action="store_true", help="leave the controls out")
    parser.add_argument("--json", type=Path, default=KEPT / "result.json", help="where the table goes as JSON")
    parser.add_argument("--kafka", choices=("embedded", "apache"), default="embedded", help="which broker")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs behind")
    return parser.parse_args(arguments)


def main() -> int:
    """Run the selected faults. 0: success; 1: a violation, a fault that did not happen, a control that passed."""
    asked = parsed()
    began = time.monotonic()

    def work(servers: Servers) -> int:
        # Settings, and therefore models, exist only from here on.
        from tests.faults.campaign import run_all

        return run_all(servers, asked, began=began)

    return on_servers(work, kafka=asked.kafka, keep=asked.keep)


def on_servers(work: Callable[[Servers], int], *, kafka: str, keep: bool, kind: type[Servers] = Servers) -> int:
    """Start servers of this kind, set Django up, call `work` and stop everything; returns the exit code."""
    # On SIGTERM the run cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    servers = kind(kafka=kafka, keep=keep)
    try:
        servers.start()
        become_the_shop(servers)
        return work(servers)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    except (EmbeddedError, KafkaUnavailable) as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    finally:
        servers.stop()


def become_the_shop(servers: Servers) -> None:
    """Set Django up in this process with the run's servers. The harness itself delivers no messages."""
    os.environ.update(servers.environment, OUTBOX_DISPATCH_IN_WEB="false", LOG_LEVEL="ERROR")
    django.setup()


if __name__ == "__main__":
    sys.exit(main())
