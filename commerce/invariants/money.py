"""Invariants of balances and the ledger. Archived entries count with the balance of their account's checkpoint."""

from django.utils.translation import gettext_noop

from commerce.invariants.rule import Invariant

BALANCE_IS_LEDGER = Invariant(
    "balance_is_ledger_sum",
    gettext_noop("A balance is the sum of its ledger entries."),
    """
    SELECT 'user ' || id, format('balance %%s, ledger %%s', balance, explained)
    FROM (
        SELECT account.id, account.balance, coalesce(archived.balance, 0) + coalesce(total, 0) AS explained
        FROM "user" AS account
        LEFT JOIN ledger_checkpoint AS archived ON archived.user_id = account.id
        LEFT JOIN (SELECT user_id, sum(amount) AS total FROM user_balance_tx GROUP BY user_id) AS ledger
               ON ledger.user_id = account.id
    ) AS wallet
    WHERE balance <> explained
    """,
)

LEDGER_CHAIN = Invariant(
    "ledger_is_a_chain",
    gettext_noop("Each entry's balance is the one before it plus its amount."),
    """
    SELECT 'ledger entry ' || id, format('balance %%s after %%s on top of %%s', balance_after, amount, before)
    FROM (
        SELECT id, amount, balance_after,
               coalesce(lag(balance_after) OVER (PARTITION BY kept.user_id ORDER BY id), archived.balance, 0) AS before
        FROM user_balance_tx AS kept
        LEFT JOIN ledger_checkpoint AS archived ON archived.user_id = kept.user_id
    ) AS entry
    WHERE balance_after <> before + amount
    """,
)

BALANCE_NOT_NEGATIVE = Invariant(
    "balance_not_negative",
    gettext_noop("No account is or ever was below zero."),
    """
    SELECT 'user ' || id, format('balance %%s', balance) FROM "user" WHERE balance < 0
    UNION ALL
    SELECT 'ledger entry ' || id, format('balance %%s', balance_after) FROM user_balance_tx WHERE balance_after < 0
    """,
)

MONEY_TOTAL = Invariant(
    "money_neither_appears_nor_vanishes",
    gettext_noop("All balances together are charges + refunds + adjustments - payments."),
    """
    SELECT 'the shop', format('balances %%s, ledger %%s', balances, archived + ledger)
    FROM (SELECT coalesce(sum(balance), 0) AS balances FROM "user") AS accounts,
         (SELECT coalesce(sum(balance), 0) AS archived FROM ledger_checkpoint) AS checkpoints,
         (SELECT coalesce(sum(CASE type WHEN 'PAYMENT' THEN -abs(amount) WHEN 'ADJUSTMENT' THEN amount
                                        ELSE abs(amount) END), 0) AS ledger
          FROM user_balance_tx) AS entries
    WHERE balances <> archived + ledger
    """,
)

MONEY = (BALANCE_IS_LEDGER, LEDGER_CHAIN, BALANCE_NOT_NEGATIVE, MONEY_TOTAL)
