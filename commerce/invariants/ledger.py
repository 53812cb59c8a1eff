"""Verifies the hash chain of each account's ledger, which reveals rows that were changed outside of the shop.

The hash is computed independently of the statement that writes it. docs/ledger.md describes what is hashed, and which
changes a hash chain cannot reveal.
"""

from django.utils.translation import gettext_noop

from commerce.invariants.rule import Invariant

# Each entry is compared with the stored hash of its predecessor, not with a hash computed from the start. So each row
# is read once, in any order, and the first entry that does not follow from its predecessor is reported. If
# entries of the account have been archived, the first kept entry follows the checkpoint.
LEDGER_UNALTERED = Invariant(
    "ledger_is_unaltered",
    gettext_noop(
        "Each ledger entry's hash follows from its content and the entry before it; the newest is its account's head."
    ),
    """
    SELECT 'user ' || user_id,
           'ledger entry ' || id || ' does not follow from ' || coalesce('entry ' || before_id, 'an empty ledger')
    FROM (
        SELECT DISTINCT ON (user_id) user_id, id, before_id
        FROM (
            SELECT kept.user_id, id, kept.entry_hash,
                   concat(id, '|', kept.user_id, '|', type, '|', amount, '|', balance_after, '|', order_id, '|',
                          trunc(extract(epoch FROM created_at) * 1000000)) AS content,
                   coalesce(lag(id) OVER earlier, archived.entry_id) AS before_id,
                   coalesce(lag(kept.entry_hash) OVER earlier, archived.entry_hash,
                            decode(repeat('00', 32), 'hex')) AS before_hash
            FROM user_balance_tx AS kept LEFT JOIN ledger_checkpoint AS archived ON archived.user_id = kept.user_id
            WHERE kept.user_id BETWEEN %(first_account)s AND %(last_account)s
            WINDOW earlier AS (PARTITION BY kept.user_id ORDER BY id)
        ) AS entry
        WHERE entry_hash IS DISTINCT FROM sha256(before_hash || convert_to(content, 'UTF8'))
        ORDER BY user_id, id
    ) AS altered
    UNION ALL
    SELECT 'user ' || account.id,
           'the head is not that of '
               || coalesce('ledger entry ' || coalesce(newest.id, entry_id) || ', the newest', 'an empty ledger')
    FROM "user" AS account
    LEFT JOIN ledger_checkpoint AS archived ON archived.user_id = account.id
    LEFT JOIN LATERAL (
        SELECT id, entry_hash FROM user_balance_tx WHERE user_id = account.id ORDER BY id DESC LIMIT 1
    ) AS newest ON true
    WHERE account.id BETWEEN %(first_account)s AND %(last_account)s
      AND ledger_head IS DISTINCT FROM
          coalesce(newest.entry_hash, archived.entry_hash, decode(repeat('00', 32), 'hex'))
    """,
)
