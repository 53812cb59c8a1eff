"""Waiting times: for any number of failures, any header of a partner, any sequence of calls."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from commerce.outbox import breaker
from commerce.outbox.breaker import Breaker
from commerce.outbox.dispatcher import FIRST_WAIT_SECONDS, backoff_seconds
from commerce.outbox.sinks.answers import _LONGEST_RETRY_AFTER_SECONDS, retry_after_seconds

SECONDS = st.floats(min_value=0.01, max_value=100.0, allow_nan=False)


class TestBackoff:
    @given(failures=st.integers(0, 10**9), longest_seconds=st.floats(0.5, 86_400.0))
    def test_is_never_none_at_all_and_never_longer_than_the_longest(
        self, failures: int, longest_seconds: float
    ) -> None:
        wait_seconds = backoff_seconds(failures, longest_seconds=longest_seconds)
        assert FIRST_WAIT_SECONDS / 2 <= wait_seconds <= longest_seconds

    @given(failures=st.integers(0, 30), longest_seconds=st.floats(0.5, 86_400.0))
    def test_doubles_give_or_take_its_spread(self, failures: int, longest_seconds: float) -> None:
        whole_seconds = min(FIRST_WAIT_SECONDS * 2**failures, longest_seconds)
        assert whole_seconds / 2 <= backoff_seconds(failures, longest_seconds=longest_seconds) <= whole_seconds


DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Sat", "Monday", "x"]),
    st.integers(0, 40),
    st.sampled_from(["Nov", "Feb", "Foo", "11"]),
    st.integers(0, 10**20),
    *[st.integers(0, 10**20)] * 3,
    st.sampled_from(["GMT", "+0900", "-2359", "+9999", "+99999999999999999999", ""]),
)


class TestRetryAfter:
    @given(header=st.text(st.characters(max_codepoint=255)) | DATES)
    @example("Sat, 21 Nov 99999999999999999999 05:00:00 GMT")
    @example("Sat, 21 Nov 2026 05:00:00 +99999999999999999999")
    @example("9" * 5_000)
    def test_any_header_gives_a_wait_within_bounds(self, header: str) -> None:
        assert 0.0 <= retry_after_seconds(header) <= _LONGEST_RETRY_AFTER_SECONDS

    @given(seconds=st.integers(0, 10**30))
    def test_seconds_are_used_up_to_an_hour(self, seconds: int) -> None:
        assert retry_after_seconds(str(seconds)) == min(seconds, 3_600)


class Clock:
    """Stays at the time to which it is set."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


class BreakerMachine(RuleBasedStateMachine):
    """Calls that fail, work or are never heard of again, with time between them.

    Remembers only when calls may be made again (None: always) and how many failed in a row.
    """

    clock = Clock()

    @initialize(limit=st.integers(1, 5), pause_seconds=SECONDS)
    def begin(self, limit: int, pause_seconds: float) -> None:
        self.clock.now = 100.0
        self.breaker = Breaker("data-platform", failures=limit, pause_seconds=pause_seconds)
        self.limit, self.pause_seconds = limit, pause_seconds
        self.in_a_row = 0
        self.open_until: float | None = None

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def time_passes_to_the_end_of_the_pause(self) -> None:
        self.clock.now = max(self.clock.now, self.open_until or 0.0)

    @rule(calls=st.integers(0, 20))
    def ask(self, calls: int) -> None:
        if self.open_until is None:
            expected = calls
        elif self.clock.now < self.open_until:
            expected = 0
        else:
            expected = min(calls, 1)
            # Whether or not the probe has an outcome, the next one waits for a whole pause.
            self.open_until = self.clock.now + self.pause_seconds
        assert self.breaker.admit(calls) == expected

    @rule(failed=st.integers(1, 8), asked_seconds=st.just(0.0) | SECONDS, worked=st.booleans())
    def calls_failed(self, failed: int, asked_seconds: float, worked: bool) -> None:
        self.in_a_row = 0 if worked else self.in_a_row + failed
        if asked_seconds:
            self._pause(asked_seconds)
        elif worked:
            self.open_until = None
        elif self.in_a_row >= self.limit or self.open_until is not None:
            self._pause(self.pause_seconds)
        self.breaker.report(failed=failed, worked=worked, asked_seconds=asked_seconds)

    @rule()
    def calls_worked(self) -> None:
        self.in_a_row, self.open_until = 0, None
        self.breaker.report(failed=0, worked=True)

    @invariant()
    def the_pause_is_what_is_left_of_it(self) -> None:
        left_seconds = 0.0 if self.open_until is None else max(0.0, self.open_until - self.clock.now)
        assert math.isclose(self.breaker.pause_seconds(), left_seconds, abs_tol=1e-9)

    def _pause(self, seconds: float) -> None:
        self.open_until = max(self.open_until or 0.0, self.clock.now + seconds)


def test_the_breaker_admits_the_expected_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "time", BreakerMachine.clock)
    run_state_machine_as_test(BreakerMachine)
