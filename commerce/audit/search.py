"""What staff actions can be looked for by: who has ever acted, and what was ever done.

Owns two statements that step from one value to the next by an index, so that they take as long as there are values,
whatever the size of the table; never writes.
"""

from commerce.core import sql

ACTORS = """
    WITH RECURSIVE known AS (
        SELECT min(actor_id) AS actor_id FROM staff_action
        UNION ALL
        SELECT (SELECT min(actor_id) FROM staff_action WHERE actor_id > known.actor_id)
        FROM known WHERE actor_id IS NOT NULL
    )
    SELECT account.id, account.username FROM known JOIN "user" AS account ON account.id = known.actor_id
    ORDER BY username
"""

ACTIONS = """
    WITH RECURSIVE known AS (
        SELECT min(action) AS action FROM staff_action
        UNION ALL
        SELECT (SELECT min(action) FROM staff_action WHERE action > known.action)
        FROM known WHERE action IS NOT NULL
    )
    SELECT action FROM known WHERE action IS NOT NULL
"""


def actors() -> list[tuple[int, str]]:
    """Everybody who ever did something as staff: number and user name, by name."""
    return [(actor_id, username) for actor_id, username in sql.fetch_all(ACTORS)]


def actions() -> list[str]:
    """Everything that staff ever did, in English; pages translate it."""
    return [action for (action,) in sql.fetch_all(ACTIONS)]
