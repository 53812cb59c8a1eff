"""All faults: the classes in `f01_….py` to `f27_….py`, found by file name.

They are ordered by number.
"""

import re
from importlib import import_module
from pathlib import Path

from tests.faults.fault import Fault

_NUMBER = re.compile(r"F(\d+)(.*)")


def faults() -> list[Fault]:
    """One instance of each fault, ordered by number."""
    for path in sorted(Path(__file__).parent.glob("f[0-9][0-9]_*.py")):
        import_module(f"tests.faults.{path.stem}")
    return sorted((kind() for kind in _concrete(Fault)), key=_order)  # type: ignore[type-abstract]  # looked at, not made


def chosen(numbers: list[str]) -> list[Fault]:
    """The faults with these numbers: `F1` is F1, and F1a, F1b … where there are letters. None given: all.

    Raises ValueError for a number that no fault has.
    """
    found = faults()
    for number in numbers:
        if not any(_fits(fault, number) for fault in found):
            raise ValueError(f"There is no fault {number}. There are {', '.join(fault.number for fault in found)}.")
    return [fault for fault in found if not numbers or any(_fits(fault, number) for number in numbers)]


def _fits(fault: Fault, number: str) -> bool:
    return fault.number == number or fault.number.rstrip("abcdefgh") == number


def _order(fault: Fault) -> tuple[int, str]:
    match = _NUMBER.fullmatch(fault.number)
    assert match is not None, fault.number
    return int(match[1]), match[2]


def _concrete(kind: type[Fault]) -> list[type[Fault]]:
    own = [kind] if hasattr(kind, "number") and not getattr(kind, "__abstractmethods__", None) else []
    return [*own, *(each for child in kind.__subclasses__() for each in _concrete(child))]
