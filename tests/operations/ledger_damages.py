"""Alterations of one account's ledger by an attacker with full database access, with the expected report."""

from dataclasses import dataclass

MAKE_HASH_FIT = """
    UPDATE user_balance_tx AS entry SET entry_hash = sha256(
        coalesce(
            (SELECT entry_hash FROM user_balance_tx WHERE user_id = entry.user_id AND id < entry.id
             ORDER BY id DESC LIMIT 1),
            decode(repeat('00', 32), 'hex')
        ) || convert_to(concat_ws('|', id, user_id, type, amount, balance_after, coalesce(order_id::text, ''),
                                  (extract(epoch FROM created_at) * 1000000)::bigint), 'UTF8')
    )
    WHERE id = %s
"""
MAKE_HEAD_FIT = """
    UPDATE "user" SET ledger_head = entry_hash FROM user_balance_tx AS entry
    WHERE "user".id = entry.user_id AND entry.id = %s
"""


@dataclass(frozen=True)
class LedgerDamage:
    """SQL that alters the ledger of `sora`, who charged `first`, `second` and `third`, and the expected report.

    An attacker who knows the scheme also recomputes the hash of the altered entry, and perhaps the head.
    """

    name: str
    sql: str
    finding: str
    hash_made_to_fit: str | None = None
    head_made_to_fit: bool = False


RAISE_THE_LAST = """
    UPDATE user_balance_tx SET amount = 90000, balance_after = 120000 WHERE id = {third};
    UPDATE "user" SET balance = 120000 WHERE id = {sora}
"""

LEDGER_DAMAGES = (
    LedgerDamage(
        "the last entry and the balance are raised",
        RAISE_THE_LAST,
        "user {sora}: ledger entry {third} does not follow from entry {second}",
    ),
    LedgerDamage(
        "the last entry and the balance are raised, with a hash that fits",
        RAISE_THE_LAST,
        "user {sora}: the head is not that of ledger entry {third}, the newest",
        hash_made_to_fit="third",
    ),
    LedgerDamage(
        "two old entries exchange some won",
        """
        UPDATE user_balance_tx SET amount = 15000, balance_after = 15000 WHERE id = {first};
        UPDATE user_balance_tx SET amount = 15000 WHERE id = {second}
        """,
        "user {sora}: ledger entry {first} does not follow from an empty ledger",
    ),
    LedgerDamage(
        "an old entry is dated back, with a hash that fits",
        "UPDATE user_balance_tx SET created_at = created_at - interval '1 microsecond' WHERE id = {second}",
        "user {sora}: ledger entry {third} does not follow from entry {second}",
        hash_made_to_fit="second",
    ),
    LedgerDamage(
        "an entry is dated at the beginning of time",
        "UPDATE user_balance_tx SET created_at = '-infinity' WHERE id = {second}",
        "user {sora}: ledger entry {second} does not follow from entry {first}",
    ),
    LedgerDamage(
        "an entry gets another reason",
        "UPDATE user_balance_tx SET type = 'ADJUSTMENT' WHERE id = {second}",
        "user {sora}: ledger entry {second} does not follow from entry {first}",
    ),
    LedgerDamage(
        "the last entry is taken away",
        """
        DELETE FROM user_balance_tx WHERE id = {third};
        DELETE FROM outbox_message WHERE event_id LIKE 'balance-changed:{third}:%%';
        UPDATE "user" SET balance = 30000 WHERE id = {sora}
        """,
        "user {sora}: the head is not that of ledger entry {second}, the newest",
    ),
    LedgerDamage(
        "all entries are taken away",
        """
        DELETE FROM user_balance_tx WHERE user_id = {sora};
        DELETE FROM outbox_message WHERE event_id ~ '^balance-changed:({first}|{second}|{third}):';
        UPDATE "user" SET balance = 0 WHERE id = {sora}
        """,
        "user {sora}: the head is not that of an empty ledger",
    ),
    LedgerDamage(
        "two entries change places",
        """
        UPDATE user_balance_tx AS entry
        SET amount = other.amount, created_at = other.created_at, entry_hash = other.entry_hash,
            balance_after = CASE entry.id WHEN {second} THEN 40000 ELSE 60000 END
        FROM user_balance_tx AS other
        WHERE entry.id IN ({second}, {third}) AND other.id IN ({second}, {third}) AND other.id <> entry.id
        """,
        "user {sora}: ledger entry {second} does not follow from entry {first}",
    ),
    LedgerDamage(
        "an entry is put in between, with a hash that fits",
        """
        INSERT INTO user_balance_tx (id, user_id, type, amount, balance_after, created_at, entry_hash)
        VALUES ({between}, {sora}, 'ADJUSTMENT', 5, 30005, '2020-01-01', sha256(''));
        UPDATE user_balance_tx SET balance_after = 60005 WHERE id = {third};
        UPDATE "user" SET balance = 60005 WHERE id = {sora}
        """,
        "user {sora}: ledger entry {third} does not follow from entry {between}",
        hash_made_to_fit="between",
    ),
    LedgerDamage(
        "an entry is added past the shop",
        """
        INSERT INTO user_balance_tx (user_id, type, amount, balance_after, created_at, entry_hash)
        VALUES ({sora}, 'ADJUSTMENT', 5, 60005, '2020-01-01', sha256(''));
        UPDATE "user" SET balance = 60005 WHERE id = {sora}
        """,
        "user {sora}: the head is not that of ledger entry ",
    ),
    LedgerDamage(
        "the head is replaced",
        """UPDATE "user" SET ledger_head = sha256('') WHERE id = {sora}""",
        "user {sora}: the head is not that of ledger entry {third}, the newest",
    ),
)

PERFECT_FORGERY = LedgerDamage(
    "the last entry, the balance, the hash and the head are rewritten",
    RAISE_THE_LAST,
    "",
    hash_made_to_fit="third",
    head_made_to_fit=True,
)
"""Cannot be detected from the database alone."""
