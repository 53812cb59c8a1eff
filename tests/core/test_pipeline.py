"""The connection of group commits: statements, results, errors and timeouts."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import errors

from commerce.core.pipeline import BEGIN, COMMIT, NoAnswer, Pipeline, Statement
from tests.together import PATIENCE_SECONDS, another_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    connected = Pipeline()
    yield connected
    connected.close()


def soon() -> float:
    return time.monotonic() + PATIENCE_SECONDS


class TestRows:
    def test_come_back_for_each_statement_in_order(self, pipeline: Pipeline) -> None:
        numbers = Statement("SELECT * FROM generate_series(1, %s::integer)", (b"3",))
        rows = pipeline.run([BEGIN, numbers, Statement("SELECT 'a', 'b'"), COMMIT], deadline=soon())
        assert rows == [[], [(1,), (2,), (3,)], [("a", "b")], []]
        assert pipeline.answered == 4

    def test_have_pythons_types(self, pipeline: Pipeline) -> None:
        every_type = Statement(
            "SELECT 9007199254740993::bigint, 1::smallint, 'won'::text, true, NULL::text, '\\x00ff'::bytea,"
            " '2026-01-01 09:00:00.000001+09'::timestamptz, '{\"a\": [1]}'::jsonb"
        )
        [[row]] = pipeline.run([every_type], deadline=soon())
        assert row[:6] == (9007199254740993, 1, "won", True, None, b"\x00\xff")
        assert row[6] == datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)

    def test_without_statements_there_are_none(self, pipeline: Pipeline) -> None:
        assert pipeline.run([], deadline=soon()) == []

    def test_may_be_large_and_so_may_parameters(self, pipeline: Pipeline) -> None:
        """Larger than the buffers of a socket in both directions."""
        text = b"x" * 8_000_000
        statement = Statement("SELECT %s::text", (text,))
        rows = pipeline.run([statement, statement, Statement("SELECT 1")], deadline=soon())
        assert [len(row[0][0]) for row in rows[:2]] == [len(text)] * 2
        assert rows[2] == [(1,)]


class TestPreparing:
    @staticmethod
    def prepared(pipeline: Pipeline) -> list[str]:
        looks = Statement("SELECT statement FROM pg_prepared_statements ORDER BY name")
        [rows] = pipeline.run([looks], deadline=soon())
        return [text for (text,) in rows if "pg_prepared_statements" not in text]

    def test_is_done_once_per_statement(self, pipeline: Pipeline) -> None:
        statement = Statement("SELECT %s::bigint + %s::bigint")
        for number in (b"1", b"2"):
            again = statement._replace(parameters=(number, number))
            assert pipeline.run([again, again], deadline=soon()) == [[(2 * int(number),)]] * 2
        assert self.prepared(pipeline) == ["SELECT $1::bigint + $2::bigint"]


class TestErrors:
    def test_are_those_of_the_first_statement_that_failed(self, pipeline: Pipeline) -> None:
        statements = [BEGIN, Statement("SELECT 1"), Statement("SELECT 1 / 0"), Statement("SELECT nothing"), COMMIT]
        with pytest.raises(errors.DivisionByZero) as error:
            pipeline.run(statements, deadline=soon())
        assert error.value.sqlstate == "22012"
        assert pipeline.answered == 2

    def test_name_the_constraint(self, pipeline: Pipeline) -> None:
        insert = Statement("INSERT INTO product (name, description, price, stock, is_active, created_at, updated_at)"
                           " VALUES ('Pen', '', 1, -1, true, now(), now())")  # fmt: skip
        with pytest.raises(psycopg.IntegrityError) as error:
            pipeline.run([BEGIN, insert, COMMIT], deadline=soon())
        assert error.value.diag.constraint_name == "product_stock_not_negative"

    def test_close_the_connection_and_undo_the_transaction(self, pipeline: Pipeline) -> None:
        insert = Statement("INSERT INTO processed_event (consumer, event_id, processed_at) VALUES ('a', 'b', now())")
        with pytest.raises(psycopg.Error):
            pipeline.run([BEGIN, insert, Statement("SELECT 1 / 0"), COMMIT], deadline=soon())
        assert not pipeline.is_usable
        with another_session() as session:
            assert session.execute("SELECT count(*) FROM processed_event").fetchone() == (0,)

    def test_of_syntax_are_raised_too(self, pipeline: Pipeline) -> None:
        with pytest.raises(errors.SyntaxError):
            pipeline.run([Statement("SELEKT 1")], deadline=soon())
        assert not pipeline.is_usable


class TestNoAnswer:
    def test_by_the_deadline_closes_the_connection(self, pipeline: Pipeline) -> None:
        with pytest.raises(NoAnswer):
            pipeline.run([Statement("SELECT pg_sleep(60)")], deadline=time.monotonic() + 0.05)
        assert not pipeline.is_usable

    def test_after_the_deadline_is_an_error(self, pipeline: Pipeline) -> None:
        with pytest.raises(NoAnswer):
            pipeline.run([Statement("SELECT pg_sleep(60)")], deadline=time.monotonic() - 1)

    def test_counts_the_received_results(self, pipeline: Pipeline) -> None:
        pipeline.run([Statement("SELECT 1"), Statement("SELECT 2")], deadline=soon())
        assert pipeline.answered == 2


class TestUsable:
    def test_is_an_idle_connection(self, pipeline: Pipeline) -> None:
        assert pipeline.is_usable
        pipeline.run([BEGIN, Statement("SELECT 1"), COMMIT], deadline=soon())
        assert pipeline.is_usable

    def test_is_not_one_closed_by_the_server(self, pipeline: Pipeline) -> None:
        [[(backend,)]] = pipeline.run([Statement("SELECT pg_backend_pid()")], deadline=soon())
        with another_session() as session:
            session.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
        assert not pipeline.is_usable

    def test_is_not_a_closed_one(self, pipeline: Pipeline) -> None:
        pipeline.close()
        assert not pipeline.is_usable
