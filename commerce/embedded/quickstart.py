"""`make run`: the whole shop on this machine, from an empty folder to a first order.

Contains the arguments, the environment variables and the exit code. The stack is in `stack`.
"""

import argparse
import sys
from typing import NoReturn

from commerce.embedded.environment import local_dir
from commerce.embedded.errors import BadSetting, EmbeddedError
from commerce.embedded.gateway import nginx
from commerce.embedded.ports import LOOPBACK
from commerce.embedded.stack import Quickstart
from commerce.embedded.supervisor import StopRequested
from commerce.embedded.variables import given, number

_HELP = """
Environment variables (all optional):
  PORT, HOST               address of the web server (8000, 127.0.0.1)
  LOCAL_DIR                folder of data, logs and run.json (.local)
  WEB_WORKERS              processes of the web server (2); each has WEB_CONNECTIONS (8) database connections
  GATEWAY                  1: nginx at that address, in front of two web servers (of 1 process each); docs/gateway.md
  DEMO_ORDERS              number of orders of one year in the demo data, instead of a week with some hundred
  DATABASE_URL, REDIS_URL, KAFKA_BOOTSTRAP_SERVERS, DATA_PLATFORM_URL (with DATA_PLATFORM_SECRET)
                           your own servers, instead of embedded ones
"""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the stack and exit: 0 after Ctrl-C or SIGTERM, 1 if the stack cannot start or continue."""
    parser = argparse.ArgumentParser(
        prog="manage.py quickstart",
        description="Start the whole shop on this machine, including its servers, and keep it running.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--end-with-parent", action="store_true", help="stop when the parent process has ended")
    chosen = parser.parse_args(sys.argv[2:] if arguments is None else arguments)
    try:
        if given("DATA_PLATFORM_URL") and not given("DATA_PLATFORM_SECRET"):
            raise BadSetting("DATA_PLATFORM_SECRET", "must be set to the key that signs calls to DATA_PLATFORM_URL")
        has_gateway = bool(number("GATEWAY", 0, least=0, most=1))
        if has_gateway:
            # Validated before anything is started.
            nginx()
        Quickstart(
            directory=local_dir(),
            host=given("HOST") or LOOPBACK,
            port=number("PORT", 8000, least=1, most=65_535),
            workers=number("WEB_WORKERS", 1 if has_gateway else 2, least=1, most=64),
            ends_with_parent=chosen.end_with_parent,
            gateway=has_gateway,
        ).run()
    except StopRequested:
        sys.exit(0)
    except EmbeddedError as error:
        sys.exit(str(error))
    raise AssertionError("the stack ended without a signal or an error")
