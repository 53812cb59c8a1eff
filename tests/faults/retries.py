"""Retries every write with an unknown outcome with its key, like a client that has lost its response.

The responses are added to the same history.
"""

import time
from random import Random

from tests.faults.caller import Caller
from tests.faults.history import Call, History, unresolved
from tests.faults.scene import Scene

TRY_SECONDS = 20.0
REPEATED_AT_RANDOM = 20
_PAUSE_SECONDS = 0.1


def retry_unknown(history: History, caller: Caller, scene: Scene, *, random: Random) -> list[str]:
    """Send every unresolved write until it is answered, then once more; and some that were answered at once.

    Returns what never got an answer. Whether the answers agree is the judge's to say.
    """
    unanswered = []
    unknown = unresolved(history.calls)
    for call in unknown:
        if _answered(call, caller, scene):
            _again(call, caller, scene)
        else:
            unanswered.append(f"{call} was retried for {TRY_SECONDS:.0f} s and never answered")
    retried = {(call.user_id, call.key) for call in unknown}
    answered = [
        call
        for call in history.calls
        if call.is_write and call.is_final and not call.replayed and (call.user_id, call.key) not in retried
    ]
    for call in random.sample(answered, min(REPEATED_AT_RANDOM, len(answered))):
        _again(call, caller, scene)
    return unanswered


def _answered(call: Call, caller: Caller, scene: Scene) -> bool:
    deadline = time.monotonic() + TRY_SECONDS
    while not _again(call, caller, scene).is_final:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _again(call: Call, caller: Caller, scene: Scene) -> Call:
    return caller.call(
        call.kind,
        call.method,
        call.path,
        user_id=call.user_id,
        token=scene.tokens[call.user_id],
        body=call.body,
        key=call.key,
    )
