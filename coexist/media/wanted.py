"""Whether a file may be fetched and kept at all: asked before it is fetched, and again before it is kept."""

from __future__ import annotations

from typing import Final

from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.base.errors import Conflict
from coexist.inbox import private, switches
from coexist.inbox.switches import Level, Switch
from coexist.media.model import Wanted

GONE: Final = "This message is not kept here."
PRIVATE: Final = "This number is on the list of private numbers: its files are not kept."
SCOPES: Final = {
    Level.INSTALLATION: "whole installation",
    Level.ACCOUNT: "whole account",
    Level.INBOX: "number",
}

OF_CONVERSATION: Final = """
SELECT g.conversation_id FROM media m LEFT JOIN messages g ON g.inbox_id = m.inbox_id AND g.wamid = m.wamid
 WHERE m.id = %s
"""


async def refusal(conn: Connection, settings: Settings, keyring: Keyring, wanted: Wanted) -> str | None:
    """Return why a file must not be taken in, as a sentence for people; None when it may.

    This is the one place that decides: whether the row is still there, whether files are switched off for the
    installation, the account or the number, and whether the conversation is with a private number. Raises
    SecretUnreadable when the list of private numbers cannot be read: then no file is taken in.
    """
    row = await (await conn.execute(OF_CONVERSATION, (wanted.id,))).fetchone()
    if row is None:
        return GONE
    for off in await switches.offs(conn, switches.allowed(settings), wanted.account_id, wanted.inbox_id):
        if off.kind == Switch.MEDIA:
            return f"Files are switched off here, for the {SCOPES[Level(off.level)]}."
    if row[0] is not None:
        try:
            await private.check_may_write(conn, keyring, wanted.account_id, row[0])
        except Conflict:
            return PRIVATE
    return None
