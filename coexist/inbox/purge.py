"""Removing what is here of a person: their messages and all that hangs on these, their names, ids and evidence.

A slice at a time, so that nobody waits for long, each in the transaction of its caller. What is removed is told to open
pages as changed conversations; files that nobody else names go with the next sweep.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import files, locks, summary
from coexist.meta.model import FROM_HISTORY

SLICE_MESSAGES: Final = 500
"""Messages removed in one transaction."""


@dataclass(slots=True)
class Slice:
    """What one step removed. ``is_left``: there is more, or a call to Meta must end first."""

    message_count: int = 0
    is_left: bool = False
    events: list[NewEvent] = field(default_factory=list)


SCOPES: Final = """
SELECT DISTINCT i.scope_id FROM identities i JOIN contact_scopes c ON c.id = i.scope_id
 WHERE c.account_id = %s AND i.match_key = ANY(%s) ORDER BY 1
"""

CONTACTS: Final = """
SELECT DISTINCT contact_id FROM identities WHERE scope_id = %s AND match_key = ANY(%s) ORDER BY 1
"""

# What is on its way to Meta at this moment ends first: its answer looks for the message.
MESSAGES: Final = """
SELECT m.id, m.inbox_id, m.conversation_id, m.wamid
  FROM messages m JOIN conversations c ON c.id = m.conversation_id
 WHERE c.contact_id = ANY(%(contacts)s)
   AND NOT EXISTS (SELECT FROM outbox o WHERE o.message_id = m.id AND o.state = 'sending')
 ORDER BY m.id
 LIMIT %(limit)s
"""


async def purge_some(conn: Connection, account_id: int, ids: Sequence[str]) -> Slice:
    """Remove a slice of what is here of whoever has these ids: match keys of phones, and BSUIDs.

    Needs a transaction by the caller, who appends the events last and comes again while something is left.
    """
    done = Slice()
    for (scope_id,) in await (await conn.execute(SCOPES, (account_id, list(ids)))).fetchall():
        await locks.own_people(conn, scope_id)
        await locks.own_apply(conn, scope_id)
        contacts = [row[0] for row in await (await conn.execute(CONTACTS, (scope_id, list(ids)))).fetchall()]
        rows = await (await conn.execute(MESSAGES, {"contacts": contacts, "limit": SLICE_MESSAGES})).fetchall()
        if rows:
            await _remove_messages(conn, account_id, rows, done)
            done.is_left = True
            return done
        if await _has_messages(conn, contacts):
            done.is_left = True
        elif contacts:
            done.events += await remove_people(conn, account_id, scope_id, contacts, ids)
    return done


async def _remove_messages(
    conn: Connection, account_id: int, rows: Sequence[tuple[int, int, int, str | None]], done: Slice
) -> None:
    wamids: dict[int, list[str]] = {}
    for _, inbox_id, _, wamid in rows:
        if wamid is not None:
            wamids.setdefault(inbox_id, []).append(wamid)
    await forget_named(conn, wamids)
    deleted = await conn.execute("DELETE FROM messages WHERE id = ANY(%s)", ([row[0] for row in rows],))
    places = sorted({(inbox_id, conversation_id) for _, inbox_id, conversation_id, _ in rows})
    await summary.refresh(conn, [conversation_id for _, conversation_id in places])
    done.message_count += deleted.rowcount
    done.events += [NewEvent(account_id, Kind.CONVERSATION_CHANGED, *place) for place in places]


BY_WAMID: Final = """
SELECT m.id, m.inbox_id, m.conversation_id, m.wamid FROM messages m
 WHERE m.inbox_id = %s AND m.wamid = ANY(%s)
   AND NOT EXISTS (SELECT FROM outbox o WHERE o.message_id = m.id AND o.state = 'sending')
"""


UNNAMED: Final = """
SELECT m.id, m.inbox_id, m.conversation_id, m.wamid FROM messages m
 WHERE m.id = ANY(%s) AND NOT EXISTS (SELECT FROM outbox o WHERE o.message_id = m.id AND o.state = 'sending')
"""
STILL_UNNAMED: Final = "SELECT FROM messages WHERE id = ANY(%s) LIMIT 1"
STILL_HERE: Final = "SELECT FROM messages WHERE inbox_id = %s AND wamid = ANY(%s) LIMIT 1"


async def purge_messages(
    conn: Connection,
    account_id: int,
    scope_ids: Collection[int],
    wamids: Mapping[int, Collection[str]],
    unnamed: Collection[int] = (),
) -> Slice:
    """Remove these messages of each inbox, in whomever's conversation they are, and whatever names them.

    So somebody else's go that show a private person's card. ``unnamed`` are the ids of ours that have no wamid.
    """
    done = Slice()
    if not wamids and not unnamed:
        return done
    for scope_id in sorted(scope_ids):
        await locks.own_apply(conn, scope_id)
    for inbox_id, named in sorted(wamids.items()):
        rows = await (await conn.execute(BY_WAMID, (inbox_id, sorted(named)))).fetchall()
        if rows:
            await _remove_messages(conn, account_id, rows, done)
    await forget_named(conn, wamids)
    if ours := await (await conn.execute(UNNAMED, (sorted(unnamed),))).fetchall():
        await _remove_messages(conn, account_id, ours, done)
    done.is_left |= (await conn.execute(STILL_UNNAMED, (sorted(unnamed),))).rowcount > 0
    for inbox_id, named in wamids.items():
        done.is_left |= (await conn.execute(STILL_HERE, (inbox_id, sorted(named)))).rowcount > 0
    return done


NAMED: Final = (
    "DELETE FROM message_changes WHERE inbox_id = %(inbox_id)s AND wamid = ANY(%(wamids)s)",
    "DELETE FROM message_changes WHERE inbox_id = %(inbox_id)s AND target = ANY(%(wamids)s)",
    "DELETE FROM message_statuses WHERE inbox_id = %(inbox_id)s AND wamid = ANY(%(wamids)s)",
    "DELETE FROM exported_messages WHERE inbox_id = %(inbox_id)s AND wamid = ANY(%(wamids)s)",
)


async def forget_named(conn: Connection, wamids: Mapping[int, Collection[str]]) -> None:
    """Remove what names these messages of each inbox: files, edits, reactions, statuses."""
    for inbox_id, named in sorted(wamids.items()):
        await files.forget_files(conn, inbox_id, sorted(named))
        for statement in NAMED:
            await conn.execute(statement, {"inbox_id": inbox_id, "wamids": sorted(named)})


FORGET_WAITING: Final = (
    """
DELETE FROM message_changes c USING inboxes i, json_to_recordset(%(named)s::json) AS n (number text, wamid text)
 WHERE i.phone_number_id = n.number AND c.inbox_id = i.id AND c.is_waiting AND n.wamid IN (c.wamid, c.target)
""",
    """
DELETE FROM message_statuses s USING inboxes i, json_to_recordset(%(named)s::json) AS n (number text, wamid text)
 WHERE i.phone_number_id = n.number AND s.inbox_id = i.id AND s.is_waiting AND s.wamid = n.wamid
""",
)


async def forget_waiting(conn: Connection, named: Collection[tuple[str, str]]) -> None:
    """Remove edits, reactions and statuses of (phone_number_id, wamid) that wait for a message which is not here."""
    rows = [{"number": number, "wamid": wamid} for number, wamid in sorted(named)]
    for statement in FORGET_WAITING if rows else ():
        await conn.execute(statement, {"named": msgspec.json.encode(rows).decode()})


async def _has_messages(conn: Connection, contacts: Collection[int]) -> bool:
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM messages m JOIN conversations c ON c.id = m.conversation_id"
        " WHERE c.contact_id = ANY(%s))",
        (list(contacts),),
    )
    return await cursor.fetchone() == (True,)


GONE: Final = """
SELECT c.inbox_id, c.id FROM conversations c WHERE c.contact_id = ANY(%s) ORDER BY 2
"""

# A phone passes from one to the next, and its national forms may have two owners: what tells of somebody else stays.
SOMEBODY_ELSES: Final = """EXISTS (
       SELECT FROM identities o WHERE o.scope_id = h.scope_id AND {key} AND o.contact_id <> ALL(%(contacts)s))"""

# Exported chats of the person: their file's name is often theirs. One that is being brought in is left to its own end.
THEIR_CHATS: Final = """
SELECT id FROM exported_chats
 WHERE conversation_id IN (SELECT id FROM conversations WHERE contact_id = ANY(%(contacts)s))
   AND state IN ('applied', 'failed', 'undone')
"""
PEOPLE: Final = (
    "DELETE FROM exported_chats WHERE id = ANY(%(chats)s)",
    """
DELETE FROM address_book_entries e USING inboxes x, identities i
 WHERE x.id = e.inbox_id AND x.scope_id = %(scope_id)s AND i.scope_id = x.scope_id
   AND i.kind = e.kind AND i.value = e.value AND i.contact_id = ANY(%(contacts)s)
""",
    f"""
DELETE FROM identity_changes h
 WHERE scope_id = %(scope_id)s AND (previous = ANY(%(keys)s) OR current = ANY(%(keys)s))
   AND (%(are_private)s OR NOT {SOMEBODY_ELSES.format(key="o.match_key IN (h.previous, h.current)")})
""",
    f"""
DELETE FROM identity_sightings h
 WHERE scope_id = %(scope_id)s AND (match_key = ANY(%(keys)s) OR bsuid = ANY(%(keys)s))
   AND (%(are_private)s OR NOT {SOMEBODY_ELSES.format(key="o.kind = 'bsuid' AND o.value = h.bsuid")})
""",
    "DELETE FROM conversations WHERE contact_id = ANY(%(contacts)s)",
    "DELETE FROM identities WHERE contact_id = ANY(%(contacts)s)",
    "DELETE FROM contacts WHERE id = ANY(%(contacts)s)",
    # whoever resolved people before must do it again
    "UPDATE contact_scopes SET version = version + 1 WHERE id = %(scope_id)s",
)


async def remove_people(
    conn: Connection, account_id: int, scope_id: int, contacts: Sequence[int], ids: Sequence[str]
) -> list[NewEvent]:
    """Remove contacts that have no message left, with all that is known of them and of ``ids``; return the events.

    ``ids`` are those of a private person, of whom everything goes; without any, what tells of somebody else as well
    stays. Needs the scope's locks on people and apply.
    """
    places = await (await conn.execute(GONE, (list(contacts),))).fetchall()
    cursor = await conn.execute("SELECT match_key FROM identities WHERE contact_id = ANY(%s)", (list(contacts),))
    keys = {*ids, *(key for (key,) in await cursor.fetchall())}
    values = {"scope_id": scope_id, "contacts": list(contacts), "keys": sorted(keys), "are_private": bool(ids)}
    chats = await (await conn.execute(THEIR_CHATS, values)).fetchall()
    await forget_unwritten(conn, [id_ for (id_,) in chats])
    for statement in PEOPLE:
        await conn.execute(statement, {**values, "chats": [id_ for (id_,) in chats]})
    events = [NewEvent(account_id, Kind.CONVERSATION_CHANGED, *place) for place in places]
    return events + [NewEvent(account_id, Kind.CONTACT_CHANGED, contact_id=id_) for id_ in contacts]


# What shows a person to whom it does not belong: a contact card, and a text that is nothing but a number.
SHOWN: Final = r"""
SELECT id, inbox_id, wamid, jsonb_build_array(text, edited_text, content) FROM messages
 WHERE id > %(after)s AND id <= %(after)s + %(rows)s AND inbox_id = ANY(%(inbox_ids)s)
   AND (type = 'contacts' OR text ~ '^[\s+().0-9-]{7,40}$' OR edited_text ~ '^[\s+().0-9-]{7,40}$')
 ORDER BY id
"""
LAST_MESSAGE: Final = "SELECT coalesce(max(id), 0) FROM messages"
SHOWN_ROWS: Final = 50_000
"""Messages looked at in one transaction."""


async def shown_in(
    conn: Connection, inbox_ids: Sequence[int], after: int
) -> tuple[list[tuple[int, int, str | None, object]], int | None]:
    """Return the messages (id, inbox id, wamid, what it tells) that may show a number which is not their writer's.

    Of the next after an id, with the id up to which they were looked at; None in its place at the end. What we wrote
    and Meta has not taken, or never took, has no wamid.
    """
    values = {"after": after, "rows": SHOWN_ROWS, "inbox_ids": list(inbox_ids)}
    rows = await (await conn.execute(SHOWN, values)).fetchall()
    last = await (await conn.execute(LAST_MESSAGE)).fetchone()
    assert last is not None
    reached = after + SHOWN_ROWS
    return list(rows), reached if reached < last[0] else None


ROWS_COUNT: Final = 2_000
"""Lines of timelines, exported chats or notes looked at in one transaction."""
ALONE_CHARS: Final = 60
"""No text that is nothing but an id is longer."""

DRAFTS: Final = """
SELECT d.conversation_id, d.user_id, d.text
  FROM drafts d JOIN conversations c ON c.id = d.conversation_id JOIN inboxes i ON i.id = c.inbox_id
 WHERE i.account_id = %s AND length(d.text) <= %s
"""


async def drafts_of(conn: Connection, account_id: int) -> list[tuple[int, int, str]]:
    """Return an account's drafts (conversation id, user id, text) that may be nothing but a number."""
    return list(await (await conn.execute(DRAFTS, (account_id, ALONE_CHARS))).fetchall())


async def forget_drafts(conn: Connection, drafts: Iterable[tuple[int, int, str]]) -> None:
    """Remove drafts of (conversation id, user id) that are still this text: whoever types may be further by now."""
    for one in drafts:
        await conn.execute("DELETE FROM drafts WHERE conversation_id = %s AND user_id = %s AND text = %s", one)


NOTES: Final = """
SELECT k.id, k.note FROM contacts k JOIN contact_scopes s ON s.id = k.scope_id
 WHERE s.account_id = %s AND length(k.note) <= %s AND k.id > %s
 ORDER BY k.id LIMIT %s
"""


async def notes_of(conn: Connection, account_id: int, after: int) -> list[tuple[int, str]]:
    """Return the next notes about contacts (contact id, note) after an id that may be nothing but a number."""
    return list(await (await conn.execute(NOTES, (account_id, ALONE_CHARS, after, ROWS_COUNT))).fetchall())


FORGET_NOTE: Final = "UPDATE contacts SET note = NULL WHERE id = %s AND note = %s"


async def forget_notes(
    conn: Connection, account_id: int, scope_ids: Collection[int], notes: Sequence[tuple[int, str]]
) -> Slice:
    """Remove these notes (contact id, note), unless somebody has written another one since; return the events."""
    if not notes:
        return Slice()
    for scope_id in sorted(scope_ids):
        await locks.own_people(conn, scope_id)
        await locks.own_apply(conn, scope_id)
    gone = [one[0] for one in notes if (await conn.execute(FORGET_NOTE, one)).rowcount]
    return Slice(events=[NewEvent(account_id, Kind.CONTACT_CHANGED, contact_id=id_) for id_ in gone])


TIMELINE: Final = """
SELECT t.id, t.value FROM inbox_timeline t JOIN inboxes i ON i.id = t.inbox_id
 WHERE i.account_id = %s AND t.field = ANY(%s) AND t.id > %s
 ORDER BY t.id LIMIT %s
"""


async def lines_of(conn: Connection, account_id: int, fields: Sequence[str], after: int) -> list[tuple[int, object]]:
    """Return the next lines (id, value) after an id of the timelines, of Meta's fields that may tell of a person."""
    cursor = await conn.execute(TIMELINE, (account_id, list(fields), after, ROWS_COUNT))
    return [(id_, value) for id_, value in await cursor.fetchall()]


async def forget_lines(conn: Connection, line_ids: Sequence[int]) -> None:
    """Remove lines of the timeline."""
    await conn.execute("DELETE FROM inbox_timeline WHERE id = ANY(%s)", (list(line_ids),))


EXPORTED: Final = """
SELECT id, choices FROM exported_chats
 WHERE account_id = %s AND choices IS NOT NULL AND state IN ('applied', 'failed', 'undone', 'undoing') AND id > %s
 ORDER BY id LIMIT %s
"""

FORGET_EXPORTED: Final = (
    "DELETE FROM exported_chats WHERE id = ANY(%s) AND state <> 'undoing'",
    "UPDATE exported_chats SET choices = NULL, file_name = 'chat' WHERE id = ANY(%s)",
)


async def exported_chats_of(conn: Connection, account_id: int, after: int) -> list[tuple[int, object]]:
    """Return the next exported chats (id, what was decided about it) after an id, but those that are being brought in.

    Those end by themselves as soon as they meet the list, and forget whom they were about.
    """
    cursor = await conn.execute(EXPORTED, (account_id, after, ROWS_COUNT))
    return [(id_, choices) for id_, choices in await cursor.fetchall()]


# A file is kept before its message is written, and an import may end between the two.
UNWRITTEN: Final = f"""
SELECT x.inbox_id, array_agg(DISTINCT x.wamid)
  FROM exported_messages x
  JOIN media f ON f.inbox_id = x.inbox_id AND f.wamid = x.wamid
  LEFT JOIN messages m ON m.inbox_id = x.inbox_id AND m.wamid = x.wamid
 WHERE x.exported_chat_id = ANY(%s)
   AND (m.id IS NULL OR x.replaced IS NOT NULL AND m.content_rank < {FROM_HISTORY})
 GROUP BY x.inbox_id
"""


async def forget_unwritten(conn: Connection, chat_ids: Sequence[int]) -> None:
    """Forget the files that imports of exported chats have kept for messages which they did not come to write."""
    for inbox_id, wamids in await (await conn.execute(UNWRITTEN, (list(chat_ids),))).fetchall():
        await files.forget_files(conn, inbox_id, sorted(wamids))


async def forget_exported_chats(conn: Connection, chat_ids: Sequence[int]) -> None:
    """Remove imports of exported chats; their files go with the next tidying. One being taken back forgets whom."""
    await forget_unwritten(conn, chat_ids)
    for statement in FORGET_EXPORTED:
        await conn.execute(statement, (list(chat_ids),))
