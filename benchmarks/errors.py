"""Why a benchmark run fails. Each message is for the person at the terminal."""


class BenchmarkFailed(Exception):
    """The run cannot continue, or a result is wrong; the message explains why."""


class ProgramMissing(BenchmarkFailed):
    """A required program is not installed and cannot be installed from here."""

    def __init__(self, program: str, how: str) -> None:
        super().__init__(f"{program} is not installed. {how}")


class WrongAnswer(BenchmarkFailed):
    """The shop's responses, or the rows that they refer to, are not those that the line expects."""

    def __init__(self, line: str, reason: str) -> None:
        self.line = line
        super().__init__(f"{line}: {reason}")
