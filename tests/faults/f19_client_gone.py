"""F19: the client disconnects before it gets its response, or before it has sent the whole request."""

import json
import socket
import struct
from typing import Any

from django.http import HttpRequest

from commerce.embedded.ports import LOOPBACK
from commerce.idempotency.claims import Answers
from commerce.server import bodies
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Call
from tests.faults.shop import Variant

GONE = "gone"
"""The name of disconnecting clients in the history."""
_AT_ONCE = 10
_ANSWERED_WITHIN_SECONDS = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _ClientGone(Fault):
    """Ten clients disconnect. Each retries on another connection with the same key, as after a lost response."""

    gap_seconds = (0.05, 0.3)
    most_shots = 50

    def come_back(self, run: Run, gone: Call) -> Call:
        """Retry until there is a response. Raises NotFired."""
        answers: list[Call] = []

        def answered() -> bool:
            token = run.scene.tokens[gone.user_id]
            answers.append(
                run.caller.call(
                    "order", "POST", gone.path, user_id=gone.user_id, token=token, body=gone.body, key=gone.key
                )
            )
            return answers[-1].is_final

        if not run.wait_until(answered, seconds=_ANSWERED_WITHIN_SECONDS):
            raise NotFired(f"{gone} was never answered")
        return answers[-1]


class GoneAfterSending(_ClientGone):
    """The whole request was sent, and the client does not wait. The request is executed completely or not at all."""

    number = "F19a"
    title = "client gone after its request"
    protection = "a key has one answer"
    control_shows = "no call was acknowledged with it or may have left it"

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.f19_client_gone.keep_the_first_answer_only",))

    def strike(self, run: Run) -> str:
        gone = [begin_order(run) for _ in range(_AT_ONCE)]
        for call in gone:
            leave(run, call, request_of(run, call))
        done = sum(self.come_back(run, call).replayed for call in gone)
        return f"{len(gone)} clients gone, {done} of their orders done"

    def judge(self, run: Run) -> list[str]:
        if any(not shot.what.endswith(" 0 of their orders done") for shot in run.shots):
            return []
        return ["NotFired: not one order of a client that had gone was done"]


class GoneWhileSending(_ClientGone):
    """A part was sent. Nothing is executed, and the key can be used for the whole request."""

    number = "F19b"
    title = "client gone during its request"
    protection = "a body that did not arrive in full is not read"
    control_shows = "came only in part, and was done"

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.f19_client_gone.believe_what_came",))

    def strike(self, run: Run) -> str:
        gone = [begin_order(run) for _ in range(_AT_ONCE)]
        for number, call in enumerate(gone):
            # An incomplete request cannot be executed.
            call.never_sent = True
            if number % 2:
                # A body that is valid JSON up to this point is the most dangerous case.
                leave(run, call, request_of(run, call, missing_bytes=20))
            else:
                whole = request_of(run, call)
                leave(run, call, whole[: run.random.randrange(1, len(whole))])
            self.come_back(run, call)
        return f"{len(gone)} clients gone in the middle of their request"

    def judge(self, run: Run) -> list[str]:
        parts = {call.key for call in run.history.calls if call.never_sent and call.client == GONE}
        wholes: dict[str | None, Call] = {}
        for call in run.history.calls:
            if call.key in parts and call.is_final:
                wholes.setdefault(call.key, call)
        return [f"{call}: it came only in part, and was done" for call in wholes.values() if call.replayed]


def begin_order(run: Run) -> Call:
    """Record an order by a customer, which is then sent manually."""
    return run.history.begin(
        client=GONE,
        kind="order",
        user_id=run.random.choice(run.scene.users),
        method="POST",
        path="/api/orders",
        body={"items": [{"productId": run.random.choice(run.scene.products), "quantity": 1}]},
        key=f"gone-{run.random.getrandbits(64):016x}",
    )


def request_of(run: Run, call: Call, *, missing_bytes: int = 0) -> bytes:
    """The bytes of a call; `missing_bytes`: how many more its head promises than there are."""
    body = json.dumps(call.body).encode()
    head = [
        f"{call.method} {call.path} HTTP/1.1",
        f"Host: {LOOPBACK}",
        f"Authorization: Bearer {run.scene.tokens[call.user_id]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body) + missing_bytes}",
        f"Idempotency-Key: {call.key}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def leave(run: Run, call: Call, content: bytes) -> None:
    """Send the bytes and disconnect: by a reset, or by an orderly close."""
    with socket.create_connection((LOOPBACK, run.shop.port), timeout=5) as connection:
        connection.sendall(content)
        run.pause(run.random.choice((0.0, 0.0, 0.01, 0.03)))
        if run.random.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    call.trouble = "the client had gone"
    call.answered_at = run.history.now()


def keep_the_first_answer_only() -> None:
    """A second effect for a key is not prevented; only its response is not stored."""
    Answers.require_unanswered = lambda self, claim: None  # type: ignore[method-assign]  # that is the point
    Answers.INSERT = f"{Answers.INSERT} ON CONFLICT DO NOTHING"


def believe_what_came() -> None:
    """A body is treated as complete however much of it has arrived."""
    answer = bodies.BodyMiddleware.__call__

    def believe(self: bodies.BodyMiddleware, request: HttpRequest) -> Any:
        if isinstance(request.META.get(bodies.REFUSAL), bodies.BodyCutShort):
            del request.META[bodies.REFUSAL]
        return answer(self, request)

    bodies.BodyMiddleware.__call__ = believe  # type: ignore[method-assign]  # that is the point
