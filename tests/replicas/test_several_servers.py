"""Several servers in `DATABASE_URL`: the primary is found, and found again after a failover."""

from collections.abc import Iterator

import psycopg
import pytest
import requests
from django.db import DatabaseError, close_old_connections, connection

from balances.models import User
from commerce.api.authentication import tokens_for
from tests.factories import UserFactory
from tests.fuzz.web_server import WebServer, web_server
from tests.outbox.manage import managed
from tests.replicas.conftest import new_folder, primary_url
from tests.replicas.standby import Standby, standby_of
from tests.together import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def user() -> User:
    return UserFactory(balance=0)


@pytest.fixture
def pair(user: User) -> Iterator[tuple[Standby, Standby]]:
    """A primary with the test's rows, and its standby."""
    folder = new_folder()
    with standby_of(primary_url(), folder / "one") as one:
        one.promote()
        with standby_of(one.url, folder / "two") as two:
            yield one, two


def address_of(*servers: Standby) -> str:
    hosts = ",".join(server.address for server in servers)
    return f"postgresql://{servers[0].credentials}@{hosts}/{servers[0].database}"


class Charging:
    """A customer who charges one won at a time, and retries with the same key if there was no response."""

    def __init__(self, web: WebServer, user: User) -> None:
        self._web = web
        self._token = tokens_for(user_id=user.pk, is_staff=False).access
        self.charged = 0

    def try_once(self) -> bool:
        answer = requests.post(
            f"{self._web.url}/api/balance/charge",
            json={"amount": 1},
            headers={"Authorization": f"Bearer {self._token}", "Idempotency-Key": f"charge-{self.charged}"},
            timeout=15,
        )
        assert answer.status_code in (200, 503), answer.text
        self.charged += answer.status_code == 200
        return answer.status_code == 200

    def until_done(self) -> None:
        wait_until(self.try_once, "a charge")


def balance_on(server: Standby, user: User) -> object:
    return server.query(f'SELECT balance FROM "user" WHERE id = {user.pk}')  # noqa: S608  # a number


def test_writes_and_deliveries_go_on_after_a_failover(pair: tuple[Standby, Standby], user: User) -> None:
    """The standby is listed first: without `target_session_attrs` all connections would stay with it."""
    one, two = pair
    url = address_of(two, one)
    with (
        web_server(DATABASE_URL=url) as web,
        managed("relay_outbox", environment={"DATABASE_URL": url}) as relay,
    ):
        wait_until(lambda: relay.printed("Relaying"), "the relay")
        charging = Charging(web, user)
        for _ in range(10):
            charging.until_done()
        two.wait_for(one.query("SELECT pg_current_wal_insert_lsn()"))
        one.kill()
        two.promote()
        for _ in range(10):
            charging.until_done()
        assert requests.get(f"{web.url}/readyz", timeout=10).json()["database"] == "up"
        assert balance_on(two, user) == charging.charged == 20
        waiting = "SELECT count(*) FROM outbox_message WHERE sent_at IS NULL AND destination = 'kafka'"
        wait_until(lambda: two.query(waiting) == 0, "the messages to leave")
        assert relay.stop() == 0


def test_a_read_only_server_is_left_for_the_one_that_takes_writes(pair: tuple[Standby, Standby], user: User) -> None:
    """It keeps its connections, so only the error code 25006 shows that they cannot be used."""
    one, two = pair
    with web_server(DATABASE_URL=address_of(one, two)) as web:
        charging = Charging(web, user)
        for _ in range(5):
            charging.until_done()
        two.wait_for(one.query("SELECT pg_current_wal_insert_lsn()"))
        one.query("ALTER SYSTEM SET default_transaction_read_only = on")
        one.query("SELECT pg_reload_conf()")
        two.promote()
        for _ in range(5):
            charging.until_done()
        assert (balance_on(one, user), balance_on(two, user)) == (5, 10)


def test_a_threads_connection_is_replaced_after_a_read_only_refusal() -> None:
    """The dispatcher, the consumer and commands keep one connection for as long as they run."""

    def backend() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid: int = cursor.fetchone()[0]
            return pid

    close_old_connections()
    before = backend()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        with pytest.raises(DatabaseError) as refused:
            cursor.execute("DELETE FROM processed_event")
    assert isinstance(refused.value.__cause__, psycopg.errors.ReadOnlySqlTransaction)
    close_old_connections()
    assert backend() != before
    connection.close()
