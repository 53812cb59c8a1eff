"""The list of faults is consistent: numbers, controls, patches."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from tests.faults.catalogue import chosen, faults
from tests.faults.fault import Fault


def test_no_two_faults_have_one_number() -> None:
    numbers = [fault.number for fault in faults()]
    assert sorted(set(numbers)) == sorted(numbers)


def test_a_number_without_its_letter_means_all_of_its_faults() -> None:
    assert [fault.number for fault in chosen(["F27"])] == ["F27a", "F27b", "F27c", "F27d", "F27e"]
    with pytest.raises(ValueError, match="There is no fault F99"):
        chosen(["F99"])


def test_the_documentation_has_a_row_of_results_for_each_fault() -> None:
    """`not run yet` is a result as well."""
    text = (Path(settings.BASE_DIR) / "docs" / "faults.md").read_text()
    rows = re.findall(r"^\| (F\d+[a-z]?) \| ([^|]+) \| (?:\d+|not run yet) \|", text, re.MULTILINE)
    assert rows == [(fault.number, fault.title) for fault in faults()]


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.number)
def test_a_control_is_another_shop_than_the_one_it_is_compared_with(fault: Fault) -> None:
    assert fault.control() != fault.variant()
    for name in (*fault.variant().patches, *fault.control().patches):
        assert callable(import_string(name)), name
