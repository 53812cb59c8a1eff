"""`manage.py replay_dead_letters`: try to count dead letters again (`stats.services`)."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from tqdm import tqdm

from stats import selectors
from stats.services import Replay, Replayed, replay_dead_letter


class Command(BaseCommand):
    help = (
        "Replay messages that the statistics consumer could not count. If an event is refused again, "
        "its dead letter stays with the new reason. Can be repeated. Prints the result as a line of "
        "JSON. Exit code 0 if all were counted, 1 if one was refused or does not exist."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        chosen = parser.add_mutually_exclusive_group(required=True)
        chosen.add_argument("--id", dest="ids", type=int, action="append", help="The id of a dead letter; repeatable.")
        chosen.add_argument("--all", action="store_true", help="All dead letters, oldest first.")

    def handle(self, *args: Any, **options: Any) -> None:
        letter_ids: Iterable[int] = selectors.waiting_dead_letters() if options["all"] else options["ids"]
        outcomes: Counter[str] = Counter()
        # One transaction per letter: an interrupted run has finished some letters and left the others unchanged.
        for letter_id in tqdm(letter_ids, unit="letter", disable=not sys.stderr.isatty()):
            replayed = replay_dead_letter(letter_id=letter_id)
            outcomes[replayed.outcome] += 1
            self.stdout.write(f"{letter_id}: {_sentence(replayed)}")
        self.stdout.write(json.dumps({outcome.value: outcomes[outcome] for outcome in Replay}))
        if outcomes[Replay.REFUSED] or outcomes[Replay.UNKNOWN]:
            sys.exit(1)


def _sentence(replayed: Replayed) -> str:
    """The outcome as one line, even if the reason has line breaks."""
    return " ".join(f"{replayed.outcome}: {replayed.reason}".split()) if replayed.reason else str(replayed.outcome)
