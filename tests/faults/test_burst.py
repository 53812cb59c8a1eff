"""The requests of a burst that are recorded in the history for the judge."""

from types import SimpleNamespace
from typing import Any

import pytest

from commerce.embedded.ports import LOOPBACK, reserve
from tests.faults.burst import Ask, ask, burst
from tests.faults.history import History


@pytest.mark.parametrize("judged", [True, False])
def test_only_judged_requests_are_recorded(judged: bool) -> None:
    history = History()
    with reserve(LOOPBACK, 0) as nobody_listens:
        port = nobody_listens.getsockname()[1]
        run: Any = SimpleNamespace(
            history=history, scene=SimpleNamespace(tokens={7: "token"}), shop=SimpleNamespace(port=port)
        )
        asked = Ask(kind="hold", user_id=7, path="/api/reservations", key="a", judged=judged)
        calls = [*burst(run, [asked], more_than_room=True), ask(run, asked)]
    assert [call.status for call in calls] == [None, None]
    assert history.calls == (calls if judged else [])
