"""Why a benchmark run fails. Each message is for the person at the terminal."""


class BenchmarkFailed(Exception):
    """The run cannot go on, or what was measured is wrong; the message says why."""


class ProgramMissing(BenchmarkFailed):
    """A program that the benchmark needs is not installed and cannot be installed from here."""

    def __init__(self, program: str, how: str) -> None:
        super().__init__(f"{program} is not installed. {how}")


class WrongAnswer(BenchmarkFailed):
    """The shop's answers, or the rows behind them, are not what the line expects."""

    def __init__(self, line: str, reason: str) -> None:
        self.line = line
        super().__init__(f"{line}: {reason}")
