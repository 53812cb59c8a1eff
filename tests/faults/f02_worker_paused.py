"""F2: a web worker is paused in the middle of an order, and continues later."""

from contextlib import suppress
from pathlib import Path
from threading import Thread

from commerce.core import sql
from tests.faults.burst import burst, key_of, order
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.late_owner import LATE, LateOwner
from tests.faults.points import STOP
from tests.faults.shop import Variant

_OTHERS_SECONDS = 5.5
"""The longest time that other requests may wait: 3 s for a lock, 2 s for a row, plus their own duration."""
_NOT_LIMITED = {
    "LOCK_WAIT_SECONDS": "60",
    "LOCK_TTL_SECONDS": "60",
    "DATABASE_LOCK_TIMEOUT_MS": "0",
    "DATABASE_STATEMENT_TIMEOUT_MS": "0",
    "DATABASE_IDLE_TIMEOUT_MS": "0",
}
_RIVALS = 8
_IDLE_IN_TRANSACTION = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle in transaction'
"""


class WorkerPausedInATransaction(Fault):
    """Longer than PostgreSQL lets a transaction idle: its rows are unlocked meanwhile, and its transaction is lost."""

    number = "F2a"
    title = "worker paused with locks and rows"
    protection = "every wait for a lock or a row is limited"
    control_shows = "waited for the paused worker"
    hold_seconds = (6.2, 6.6)
    most_shots = 8

    def __init__(self) -> None:
        self._pid = 0
        self._served: list[set[int]] = []

    def control(self) -> Variant:
        return Variant(settings=_NOT_LIMITED)

    def strike(self, run: Run) -> str:
        before = run.fired("order.after-balance")
        run.shop.points.arm("order.after-balance", STOP)
        pid = run.wait_for_point("order.after-balance", fired_before=before)
        if not run.wait_until(lambda: is_stopped(pid), seconds=5):
            raise NotFired(f"worker {pid} goes on after SIGSTOP")
        if not run.wait_until(lambda: _count(_IDLE_IN_TRANSACTION) > 0, seconds=2):
            raise NotFired("the paused worker has no transaction open")
        self._pid = pid
        self._served = [*self._served[: len(run.shots)], self._served_by_others(run)]
        return f"worker {pid} paused after the balance, {_count(_IDLE_IN_TRANSACTION)} transactions open"

    def heal(self, run: Run) -> None:
        self._served[-1] |= self._served_by_others(run)
        run.shop.web.resume()

    def _served_by_others(self, run: Run) -> set[int]:
        return set().union(*(client_ports(pid) for pid in run.shop.web.workers() if pid != self._pid))

    def judge(self, run: Run) -> list[str]:
        found = []
        for shot, served in zip(run.shots, self._served, strict=True):
            others = [
                call
                for call in run.history.calls
                if shot.struck_at <= call.sent_at < shot.healed_at and call.from_port in served
            ]
            if not any(call.kind == "order" and call.status == 200 for call in others):
                found.append(f"nobody could order while: {shot.what}")
            found += [
                f"{call} waited for the paused worker: {call.seconds:.1f} s, over {_OTHERS_SECONDS} s"
                for call in others
                if call.seconds > _OTHERS_SECONDS
            ][:3]
        return found


class WorkerPausedBeyondItsLock(LateOwner):
    """Longer than its Redis locks live: other processes get the locks, and it still commits when it continues."""

    number = "F2b"
    title = "worker paused beyond its lock"
    protection = "stock is taken by a statement that holds with the lock lost"
    control_shows = "invariant stock_is_its_movements broken"
    hold_seconds = (3.0, 3.5)
    most_shots = 20
    _rivals: Thread

    def control(self) -> Variant:
        return self.naive("tests.faults.naive_shop.stock_from_memory")

    def strike(self, run: Run) -> str:
        product = run.random.choice(run.scene.products)
        late, *rivals = run.random.sample(run.scene.users, _RIVALS + 1)
        first = order(late, {product: 2}, key=key_of(run), points=LATE)
        pid = self.begin(run, first, step="after-stock", action=STOP)
        self.wait_for_lock_to_end(run, f"product:{product}:lock")
        others = [order(rival, {product: 1}, key=key_of(run)) for rival in rivals]
        # Some of them are sent to the paused worker, and are answered when it continues.
        self._rivals = Thread(target=burst, args=(run, others), daemon=True)
        self._rivals.start()
        return f"worker {pid} paused with a lock that ran out, {_RIVALS} rivals meanwhile"

    def heal(self, run: Run) -> None:
        run.shop.web.resume()
        self.end(run)
        self._rivals.join()


def client_ports(pid: int) -> set[int]:
    """The remote ports of the connections that a process has open."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        # The process has closed this descriptor since the folder was read.
        with suppress(FileNotFoundError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[len("socket:[") : -1])
    ports = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            ports.add(int(fields[2].partition(":")[2], 16))
    return ports


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def _count(query: str) -> int:
    row = sql.fetch_one(query)
    assert row is not None
    return int(row[0])
