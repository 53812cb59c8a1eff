"""F6: Redis accepts connections and commands, but does not reply."""

from tests.faults.fault import Fault, Run
from tests.faults.shop import Variant

_AT_ITS_BEGINNING_SECONDS = 0.5
_LONGEST_SECONDS = 2.4


class _RedisPaused(Fault):
    """A call times out after half a second, and then Redis is not called for two seconds."""

    sells_on = True
    slowest_order_seconds = 5.0
    gap_seconds = (0.5, 1.0)
    protection = "a call to Redis is given up after half a second"

    def control(self) -> Variant:
        return Variant(settings={"REDIS_TIMEOUT_SECONDS": "30"})

    def strike(self, run: Run) -> str:
        pid = run.servers.redis.pid
        run.servers.redis.pause()
        return f"Redis {pid} paused"

    def heal(self, run: Run) -> None:
        run.servers.redis.resume()


class RedisPausedShortly(_RedisPaused):
    """Longer than the timeout of a call, shorter than that of a request."""

    number = "F6a"
    title = "Redis paused for 3 s"
    control_shows = "waited until Redis was back"
    hold_seconds = (3.0, 3.0)
    most_shots = 5

    def judge(self, run: Run) -> list[str]:
        """Requests that arrived at the start of the pause must be answered long before its end."""
        return [
            f"{call} waited until Redis was back, {call.seconds:.1f} s"
            for shot in run.shots
            for call in run.history.calls
            if call.kind == "order"
            and shot.struck_at <= call.sent_at < shot.struck_at + _AT_ITS_BEGINNING_SECONDS
            and call.seconds > _LONGEST_SECONDS
        ][:10]


class RedisPausedLong(_RedisPaused):
    """Longer than the timeout of any request."""

    number = "F6b"
    in_short = False
    title = "Redis paused for 20 s"
    control_shows = "longer than any request may"
    hold_seconds = (20.0, 20.0)
    most_shots = 2
