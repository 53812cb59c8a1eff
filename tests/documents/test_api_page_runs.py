"""The shell and Python code of `docs/api.md` works with a running shop."""

import json
import shutil
from pathlib import Path

import pytest

from balances.models import LedgerEntry
from tests.documents.blocks import BASE_DIR, blocks, documents, paste
from tests.factories import ProductFactory, UserFactory
from tests.fuzz.web_server import web_server

PAGE = "docs/api.md"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="THE DOCUMENTS' COMMANDS NEED curl.")


@pytest.fixture
def customer() -> None:
    """The customer of the demo data, with two charges."""
    UserFactory(username="customer1", password="customer", balance=1_000)
    ProductFactory()


def test_every_document_with_curl_is_pasted_by_a_test() -> None:
    """The tour of the READMEs is pasted in `tests/embedded/test_whole_stack.py`; both have the same."""
    with_curl = {
        str(path.relative_to(BASE_DIR))
        for path in documents()
        if any("curl " in block for block in blocks(str(path.relative_to(BASE_DIR)), "[a-z]*"))
    }
    assert with_curl == {"README.md", "README.ko.md", PAGE}


@needs_curl
@pytest.mark.django_db(transaction=True, reset_sequences=True)
@pytest.mark.usefixtures("customer")
def test_the_shell_of_the_page(tmp_path: Path) -> None:
    with web_server() as web:
        lines = paste("\n".join(blocks(PAGE, "sh")), into="sh", shop=web.url, folder=tmp_path)
    who, charged, history, unchanged = (json.loads(line) for line in lines)
    assert who == {"userId": 1, "username": "customer1", "isStaff": False}
    assert (charged["balance"], charged["transaction"]["amount"]) == (11_000, 10_000)
    assert [entry["amount"] for entry in history["results"]] == [10_000, 1_000]
    assert unchanged == {"status": 304}


@pytest.mark.django_db(transaction=True, reset_sequences=True)
@pytest.mark.usefixtures("customer")
def test_the_python_of_the_page(tmp_path: Path) -> None:
    with web_server() as web:
        lines = paste("\n".join(blocks(PAGE, "python")), into="python", shop=web.url, folder=tmp_path)
    assert lines == ["11000", "11000"]


RETRIES = """
write /api/balance/charge '{"amount": 0}' || echo "refused $?"
"""


@needs_curl
@pytest.mark.django_db(transaction=True, reset_sequences=True)
@pytest.mark.usefixtures("customer")
def test_the_shell_of_the_page_stops_at_a_refusal(tmp_path: Path) -> None:
    with web_server() as web:
        program = "\n".join([*blocks(PAGE, "sh")[:2], RETRIES])
        lines = paste(program, into="sh", shop=web.url, folder=tmp_path)
    assert json.loads(lines[-2])["code"] == "validation_error"
    assert lines[-1] == "refused 1"


AGAIN = """
calls = []
sent = requests.post


def lossy(*arguments, **options):
    calls.append(options["headers"]["Idempotency-Key"])
    answer = sent(*arguments, **options)
    if len(calls) == 1:
        raise requests.ConnectionError("the answer was lost")
    return answer


requests.post = lossy
time.sleep = lambda seconds: None
print(write("/api/balance/charge", {"amount": 500}, access)["balance"], len(calls), len(set(calls)))
try:
    write("/api/orders", {"items": [{"productId": 1, "quantity": 1000}]}, access)
except Problem as problem:
    print(problem.body["code"])
"""


@pytest.mark.django_db(transaction=True, reset_sequences=True)
@pytest.mark.usefixtures("customer")
def test_the_python_of_the_page_retries_a_lost_response_once(tmp_path: Path) -> None:
    with web_server() as web:
        program = "\n".join([blocks(PAGE, "python")[0], AGAIN])
        lines = paste(program, into="python", shop=web.url, folder=tmp_path)
    assert lines == ["11000", "11500 2 1", "out_of_stock"]
    assert LedgerEntry.objects.filter(amount=500).count() == 1
