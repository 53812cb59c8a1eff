"""The chain of hashes over each account's ledger, reckoned anew: what was rewritten behind the shop's back shows here.

Owns its own spelling of the hash, so that the statement that writes it cannot vouch for itself; docs/ledger.md says
what is hashed, and what no chain can show.
"""

from django.utils.translation import gettext_noop

from commerce.invariants.rule import Invariant

# An entry is held against the hash that its predecessor carries, not against one reckoned from the start: so each
# row is read once, in any order, and a broken link names the first entry that does not follow from the one before. What
# is kept of an account of which something was archived begins with the hash of its checkpoint.
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
