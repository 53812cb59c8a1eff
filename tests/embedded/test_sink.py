"""The data-platform sink stores every acknowledged event, and accepts only signed ones."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from commerce.embedded.ports import LOOPBACK
from commerce.embedded.sink import BadSignature, Inbox, SinkServer, verify_signature

SECRET = "shared-by-both-sides"


def signature(body: bytes, *, sent_at: int, secret: str = SECRET) -> str:
    digest = hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={sent_at},v1={digest}"


class Running:
    def __init__(self, path: Path) -> None:
        self.inbox = Inbox(path)
        self.server = SinkServer((LOOPBACK, 0), inbox=self.inbox, secret=SECRET)
        self.url = f"http://{LOOPBACK}:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def post(self, event: Any, *, key: str, header: str | None = None, to: str = "/orders") -> requests.Response:
        body = json.dumps(event).encode()
        headers = {"Idempotency-Key": key, "X-Signature": header or signature(body, sent_at=int(time.time()))}
        return requests.post(self.url + to, data=body, headers=headers, timeout=10)

    def events(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/events", timeout=10).json())

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.inbox.close()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "received.jsonl")
    yield running
    running.stop()


def test_a_signed_event_is_kept_and_shown(sink: Running, tmp_path: Path) -> None:
    answer = sink.post({"id": "e1", "note": "사과"}, key="e1")

    assert (answer.status_code, answer.json()) == (200, {"key": "e1", "repeated": False})
    shown = sink.events()
    assert (shown["received"], shown["unique"]) == (1, 1)
    assert shown["events"][0]["event"] == {"id": "e1", "note": "사과"}
    (line,) = (tmp_path / "received.jsonl").read_text().splitlines()
    assert {name: json.loads(line)[name] for name in ("key", "path", "event")} == {
        "key": "e1",
        "path": "/orders",
        "event": {"id": "e1", "note": "사과"},
    }


def test_a_repeated_event_is_counted_but_not_as_new(sink: Running) -> None:
    sink.post({"id": "e1"}, key="e1")

    assert sink.post({"id": "e1"}, key="e1").json() == {"key": "e1", "repeated": True}
    assert (sink.events()["received"], sink.events()["unique"]) == (2, 1)


WRONG: dict[str, Callable[[int], str]] = {
    "old": lambda now: signature(b'{"id": "e1"}', sent_at=now - 3600),
    "made up": lambda now: f"t={now},v1=00",
    "no header at all": lambda now: "nonsense",
    "without a time": lambda now: "v1=00",
    "with another secret": lambda now: signature(b'{"id": "e1"}', sent_at=now, secret="another"),
    "of another body": lambda now: signature(b'{"id": "e2"}', sent_at=now),
    "of another time": lambda now: signature(b'{"id": "e1"}', sent_at=now - 1).replace(str(now - 1), str(now)),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_signature_is_refused_and_nothing_is_kept(sink: Running, kind: str) -> None:
    answer = sink.post({"id": "e1"}, key="e1", header=WRONG[kind](int(time.time())))

    assert (answer.status_code, answer.json()) == (401, {"error": "bad_signature"})
    assert sink.events() == {"received": 0, "unique": 0, "events": []}


def test_a_signature_is_valid_for_five_minutes() -> None:
    header = signature(b"{}", sent_at=1_000_000)

    verify_signature(header, b"{}", secret=SECRET, now=1_000_300)
    with pytest.raises(BadSignature):
        verify_signature(header, b"{}", secret=SECRET, now=1_000_301)
    with pytest.raises(BadSignature):
        verify_signature(header, b"{}", secret=SECRET, now=999_699)


def test_an_event_without_a_key_or_that_is_no_json_is_refused(sink: Running) -> None:
    body = b"{"
    good_signature = {"X-Signature": signature(body, sent_at=int(time.time()))}

    no_key = requests.post(sink.url, data=body, headers=good_signature, timeout=10)
    no_json = requests.post(sink.url, data=body, headers={**good_signature, "Idempotency-Key": "e1"}, timeout=10)

    assert (no_key.status_code, no_key.json()) == (400, {"error": "idempotency_key_missing"})
    assert (no_json.status_code, no_json.json()) == (400, {"error": "malformed_json"})
    assert sink.events()["received"] == 0


def test_health_and_unknown_paths(sink: Running) -> None:
    assert requests.get(f"{sink.url}/health", timeout=10).json() == {"status": "ok"}
    assert requests.get(f"{sink.url}/nothing", timeout=10).status_code == 404


def test_a_thousand_events_from_many_senders_are_all_there(sink: Running, tmp_path: Path) -> None:
    def send(sender: int) -> set[int]:
        statuses = set()
        with requests.Session() as session:
            for number in range(50):
                body = json.dumps({"sender": sender, "number": number}).encode()
                headers = {
                    "Idempotency-Key": f"{sender}-{number}",
                    "X-Signature": signature(body, sent_at=int(time.time())),
                }
                answer = session.post(f"{sink.url}/orders", data=body, headers=headers, timeout=10)
                statuses.add(answer.status_code)
        return statuses

    with ThreadPoolExecutor(20) as senders:
        assert list(senders.map(send, range(20))) == [{200}] * 20

    shown = sink.events()
    assert (shown["received"], shown["unique"], len(shown["events"])) == (1000, 1000, 50)
    lines = (tmp_path / "received.jsonl").read_text().splitlines()
    assert {json.loads(line)["key"] for line in lines} == {f"{s}-{n}" for s in range(20) for n in range(50)}


def test_a_restarted_sink_keeps_events_and_drops_a_partial_line(tmp_path: Path) -> None:
    path = tmp_path / "received.jsonl"
    first = Inbox(path)
    first.add(key="e1", path="/orders", event={"id": "e1"})
    first.close()
    with path.open("ab") as file:
        file.write(b'{"key": "e2", "eve')

    second = Inbox(path)

    assert second.add(key="e1", path="/orders", event={"id": "e1"}) is False
    assert second.add(key="e2", path="/orders", event={"id": "e2"}) is True
    assert (second.summary()["received"], second.summary()["unique"]) == (3, 2)
    second.close()
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["e1", "e1", "e2"]
