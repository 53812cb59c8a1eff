"""F19: the client is gone before it has its answer, or before it has sent everything."""

import json
import socket
import struct
from typing import Any

from django.http import HttpRequest

from commerce.embedded.ports import LOOPBACK
from commerce.http import bodies
from commerce.idempotency.claims import Answers
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Call
from tests.faults.shop import Variant

GONE = "gone"
"""What clients that leave are called in the history."""
_AT_ONCE = 10
_ANSWERED_WITHIN_SECONDS = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _ClientGone(Fault):
    """Ten clients leave; each comes back on another connection with the same key, like anyone who lost an answer."""

    gap_seconds = (0.05, 0.3)
    most_shots = 50

    def come_back(self, run: Run, gone: Call) -> Call:
        """Ask again until there is an answer. Raises NotFired."""
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
    """Everything was sent, and nobody waits for the answer. It happens all the same, or not at all."""

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
    """A part was sent. Nothing happens, and the key is free for the whole."""

    number = "F19b"
    title = "client gone during its request"
    protection = "a body that did not arrive in full is not read"
    control_shows = "came only in part, and was done"

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.f19_client_gone.believe_what_came",))

    def strike(self, run: Run) -> str:
        gone = [begin_order(run) for _ in range(_AT_ONCE)]
        for number, call in enumerate(gone):
            # Nobody can do what was never sent.
            call.never_sent = True
            if number % 2:
                # A body that makes sense as far as it goes is the tempting one.
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
    """Write an order of somebody's down, to be sent by hand."""
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
    """Send it and go: by a reset, or with a goodbye."""
    with socket.create_connection((LOOPBACK, run.shop.port), timeout=5) as connection:
        connection.sendall(content)
        run.pause(run.random.choice((0.0, 0.0, 0.01, 0.03)))
        if run.random.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    call.trouble = "the client had gone"
    call.answered_at = run.history.now()


def keep_the_first_answer_only() -> None:
    """A second effect under a key is let be, and only its answer is not kept."""
    Answers.require_unanswered = lambda self, claim: None  # type: ignore[method-assign]  # that is the point
    Answers.INSERT = f"{Answers.INSERT} ON CONFLICT DO NOTHING"


def believe_what_came() -> None:
    """A body is taken for whole however much of it came."""
    answer = bodies.BodyMiddleware.__call__

    def believe(self: bodies.BodyMiddleware, request: HttpRequest) -> Any:
        if isinstance(request.META.get(bodies.REFUSAL), bodies.BodyCutShort):
            del request.META[bodies.REFUSAL]
        return answer(self, request)

    bodies.BodyMiddleware.__call__ = believe  # type: ignore[method-assign]  # that is the point
