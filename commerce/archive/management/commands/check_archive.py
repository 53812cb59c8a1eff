"""`manage.py check_archive`: verify the archive's files (`commerce.archive.check`)."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from commerce.archive.check import check_archive

SHOWN = 10


class Command(BaseCommand):
    help = (
        "Read every file that `archive` has written: each must be unaltered, each archived ledger entry must follow "
        "from the one before it up to the checkpoint of its account, and archived stock movements must add up to the "
        "checkpoint of their product. Reads only. Exit code 1 where something is wrong."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dir", help="The folder with the files. Default: ARCHIVE_DIR.")
        parser.add_argument("--json", action="store_true", help="Print the result as a line of JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["dir"] or settings.ARCHIVE_DIR
        # `disable=None`: progress is shown on a terminal only.
        with tqdm(unit="row", leave=False, disable=None) as progress:
            checked = check_archive(Path(folder), on_file=progress.update)
        shown = checked.findings[:SHOWN]
        if options["json"]:
            found = {"findings": len(checked.findings), "examples": shown}
            self.stdout.write(json.dumps({"files": checked.files, "rows": checked.rows, **found}))
        else:
            self.stdout.write(f"{checked.files:,} files with {checked.rows:,} rows")
            for finding in shown:
                self.stdout.write(finding)
        if checked.findings:
            raise CommandError(f"{len(checked.findings)} errors were found in the archive.")
