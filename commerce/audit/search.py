"""The values of the filters of staff actions: all actors and all actions.

Both statements step from one value to the next in an index (a loose index scan), so their cost depends on the number of
values and not on the size of the table.
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
    """All staff members who have acted: id and user name, ordered by name."""
    return [(actor_id, username) for actor_id, username in sql.fetch_all(ACTORS)]


def actions() -> list[str]:
    """All recorded actions, in English; pages translate them."""
    return [action for (action,) in sql.fetch_all(ACTIONS)]
