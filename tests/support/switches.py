"""Switches thrown in the tables, without what follows from throwing one."""

from coexist.base.database import Connection
from coexist.inbox.switches import Switch

OFF = """
INSERT INTO switched_off (account_id, inbox_id, kind, by)
SELECT DISTINCT account_id, CASE WHEN %s THEN NULL ELSE id END, k.kind::switch_kind, 'the test'
  FROM inboxes, unnest(%s::text[]) AS k (kind) ON CONFLICT DO NOTHING
"""


async def switch_off(conn: Connection, *switches: Switch, whole_account: bool = False) -> None:
    """Switch these off, or all, for every number or every account."""
    await conn.execute(OFF, (whole_account, [str(each) for each in switches or Switch]))


async def switch_on(conn: Connection) -> None:
    """Switch everything on."""
    await conn.execute("DELETE FROM switched_off")
