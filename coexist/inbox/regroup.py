"""Moving messages after their people: two contacts turn out to be one person, or one phone to have had two owners.

Runs under the scope's exclusive apply lock, in the transaction that changed the identities. No message is ever
dropped; what a person here decided (name, note, assignment, state, drafts) goes along.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from coexist.base.database import Connection
from coexist.events.feed import Kind, NewEvent
from coexist.inbox import summary
from coexist.meta.phones import match_key

if TYPE_CHECKING:
    from coexist.inbox.evidence import Closure, Identity

WRITTEN_FROM = """
SELECT DISTINCT m.peer, coalesce(m.peer_at, m.sent_at)
  FROM conversations c JOIN messages m ON m.conversation_id = c.id
 WHERE c.contact_id = ANY(%s) AND m.peer = ANY(%s)
"""


async def written_from(
    conn: Connection, contact_ids: Collection[int], phones: Collection[str]
) -> Sequence[tuple[str, datetime]]:
    """Return (phone, time) of every message that is known only by one of ``phones``."""
    return await (await conn.execute(WRITTEN_FROM, (list(contact_ids), list(phones)))).fetchall()


GROUPS = """
SELECT c.inbox_id, c.id, c.contact_id, m.peer,
       CASE WHEN m.peer = ANY(%s) THEN coalesce(m.peer_at, m.sent_at) END AS at, array_agg(m.id)
  FROM conversations c JOIN messages m ON m.conversation_id = c.id
 WHERE c.contact_id = ANY(%s)
 GROUP BY 1, 2, 3, 4, 5
"""

CONVERSATION = """
INSERT INTO conversations (inbox_id, contact_id) VALUES (%s, %s)
    ON CONFLICT (inbox_id, contact_id) DO UPDATE SET contact_id = excluded.contact_id
RETURNING id
"""

MOVE_MESSAGES = "UPDATE messages SET conversation_id = %s WHERE id = ANY(%s)"

# What only an import made, and nobody here has touched, is joined in silence (D7). Of the rest programs may have heard.
HEARD_OF = """
SELECT c.id, c.contact_id FROM conversations c JOIN contacts k ON k.id = c.contact_id
 WHERE c.contact_id = ANY(%s)
   AND (c.set_state IS NOT NULL OR c.assignee_id IS NOT NULL OR k.agent_name IS NOT NULL OR k.note IS NOT NULL
        OR EXISTS (SELECT FROM messages WHERE conversation_id = c.id AND NOT imported))
"""

RAISE_VERSION = "UPDATE contact_scopes SET version = version + 1 WHERE id = %s RETURNING account_id"


async def follow(conn: Connection, scope_id: int, *, before: Sequence[Identity], after: Closure) -> list[NewEvent]:
    """Put every message of the people concerned into the conversation of who they are now.

    ``before`` are the identities as they were, ``after`` the closure with their new contacts. Returns the events to
    append. Contacts and conversations that nobody is left in are folded into their successors and removed.
    """
    row = await (await conn.execute(RAISE_VERSION, (scope_id,))).fetchone()
    assert row is not None
    contact_of = after.contact_by_node()
    contested = [i.value for i in after.identities if i.kind == "phone" and after.evidence.is_contested(i.value)]
    now = {(i.kind, i.value): i.contact_id for i in after.identities}
    moved = [i for i in before if now.get((i.kind, i.value)) != i.contact_id]
    concerned = {i.contact_id for i in moved} | {now[i.kind, i.value] for i in moved if (i.kind, i.value) in now}
    if contested:  # anybody connected may have written from such a phone at some time
        concerned |= {i.contact_id for i in (*before, *after.identities)}
    everybody = sorted({i.contact_id for i in (*before, *after.identities)})
    heard_of = await (await conn.execute(HEARD_OF, (everybody,))).fetchall()
    groups = await (await conn.execute(GROUPS, (contested, sorted(concerned)))).fetchall()
    touched: set[int] = set()
    moves: dict[tuple[int, int], list[int]] = defaultdict(list)  # (inbox, contact) → message ids
    went: dict[int, Counter[int]] = defaultdict(Counter)  # contact → how many messages of theirs are whose now
    for inbox_id, conversation_id, contact_id, peer, at, message_ids in groups:
        owner = contact_of[after.evidence.node_of_phone(peer, at)] if at else contact_of[_node(after, peer)]
        if owner != contact_id:
            moves[inbox_id, owner] += message_ids
            went[contact_id][owner] += len(message_ids)
            touched.add(conversation_id)
    for (inbox_id, contact_id), message_ids in sorted(moves.items()):
        made = await (await conn.execute(CONVERSATION, (inbox_id, contact_id))).fetchone()
        assert made is not None
        await conn.execute(MOVE_MESSAGES, (made[0], message_ids))
        touched.add(made[0])
    touched |= await _fold_contacts(conn, before, after, went)
    await summary.refresh(conn, touched, [*concerned, *after.contact_ids])
    heard_of += await (await conn.execute(HEARD_OF, (everybody,))).fetchall()
    conversations, contacts = {id_ for id_, _ in heard_of}, {*after.contact_ids, *(id_ for _, id_ in heard_of)}
    return [
        NewEvent(row[0], Kind.CONVERSATION_CHANGED, conversation_id=id_, is_import=id_ not in conversations)
        for id_ in sorted(touched)
    ] + [NewEvent(row[0], Kind.CONTACT_CHANGED, contact_id=id_, is_import=id_ not in contacts) for id_ in everybody]


def _node(after: Closure, peer: str) -> str:
    """Whoever ``peer`` is now: an id that was learned as a BSUID, whatever it looks like, or a phone's digits."""
    is_bsuid = any(identity.value == peer for identity in after.identities if identity.kind == "bsuid")
    return after.node("bsuid" if is_bsuid else "phone", peer)


# ── contacts that turned out to be somebody else ──────────────────────────────────────────────────────────

# What people decided about the vanished contact's conversations goes to the successor's, the newest decision first; but
# what was decided or read on one side says nothing about a customer who still waits on the other.
FOLD_CONVERSATIONS = """
UPDATE conversations AS kept
   SET set_state = CASE WHEN kept.set_state IS NULL AND gone.set_state IS NULL THEN NULL
                        WHEN 'open' IN (kept.state, gone.state) THEN 'open'
                        WHEN gone.set_state_at > coalesce(kept.set_state_at, '-infinity') THEN gone.set_state
                        ELSE kept.set_state END,
       set_state_at = greatest(kept.set_state_at, gone.set_state_at),
       set_state_after = greatest(kept.set_state_after, gone.set_state_after),
       discarded_refusal_at = greatest(kept.discarded_refusal_at, gone.discarded_refusal_at),
       snoozed_until = coalesce(kept.snoozed_until, gone.snoozed_until),
       assignee_id = coalesce(kept.assignee_id, gone.assignee_id),
       read_at = greatest(kept.read_at, gone.read_at),
       read_up_to = CASE WHEN kept.unread_count = 0 AND gone.unread_count = 0
                         THEN greatest(kept.read_up_to, gone.read_up_to)
                         WHEN kept.unread_count = 0 THEN gone.read_up_to
                         WHEN gone.unread_count = 0 THEN kept.read_up_to
                         ELSE least(kept.read_up_to, gone.read_up_to) END
  FROM conversations AS gone
 WHERE gone.contact_id = %(gone)s AND kept.contact_id = %(kept)s AND kept.inbox_id = gone.inbox_id
RETURNING kept.id
"""

JOIN_DRAFTS = """
UPDATE drafts AS mine
   SET text = concat_ws(E'\\n\\n', mine.text, other.text), saved_at = greatest(mine.saved_at, other.saved_at)
  FROM drafts AS other
  JOIN conversations gone ON gone.id = other.conversation_id AND gone.contact_id = %(gone)s
  JOIN conversations kept ON kept.inbox_id = gone.inbox_id AND kept.contact_id = %(kept)s
 WHERE mine.conversation_id = kept.id AND mine.user_id = other.user_id
"""

FOLD_DRAFTS = """
UPDATE drafts SET conversation_id = kept.id
  FROM conversations gone JOIN conversations kept ON kept.inbox_id = gone.inbox_id AND kept.contact_id = %(kept)s
 WHERE gone.contact_id = %(gone)s AND drafts.conversation_id = gone.id
   AND NOT EXISTS (SELECT FROM drafts d WHERE d.conversation_id = kept.id AND d.user_id = drafts.user_id)
"""

# Whoever looks for the conversation that is dropped, or for one folded into it before, finds the one that stays.
LEAVE_TRAIL = """
WITH pair AS (
    SELECT gone.id, kept.id AS kept_id FROM conversations gone JOIN conversations kept ON kept.inbox_id = gone.inbox_id
     WHERE gone.contact_id = %(gone)s AND kept.contact_id = %(kept)s),
moved_on AS (UPDATE folded_conversations f SET kept_id = pair.kept_id FROM pair WHERE f.kept_id = pair.id)
INSERT INTO folded_conversations (id, kept_id) SELECT id, kept_id FROM pair
"""

DROP_CONVERSATIONS = """
DELETE FROM conversations gone USING conversations kept
 WHERE gone.contact_id = %(gone)s AND kept.contact_id = %(kept)s AND kept.inbox_id = gone.inbox_id
RETURNING gone.id
"""

# Conversations the successor has no counterpart of simply become theirs.
HAND_OVER = "UPDATE conversations SET contact_id = %(kept)s WHERE contact_id = %(gone)s RETURNING id"

FOLD_CONTACT = """
UPDATE contacts AS kept
   SET agent_name = CASE WHEN gone.agent_name_at > coalesce(kept.agent_name_at, '-infinity')
                         THEN gone.agent_name ELSE kept.agent_name END,
       agent_name_at = greatest(kept.agent_name_at, gone.agent_name_at),
       note = CASE WHEN kept.note IS NULL OR gone.note IS NULL THEN coalesce(kept.note, gone.note)
                   ELSE concat_ws(E'\\n\\n', kept.note, gone.note) END
  FROM contacts AS gone
 WHERE gone.id = %(gone)s AND kept.id = %(kept)s
"""

DROP_CONTACT = "DELETE FROM contacts WHERE id = %(gone)s"


async def _fold_contacts(
    conn: Connection, before: Sequence[Identity], after: Closure, went: Mapping[int, Counter[int]]
) -> set[int]:
    """Fold every contact that has no identity left into the one that has its oldest. Returns conversations touched.

    A former owner of a phone whose id is not needed any more leaves what was noted to whoever has their messages now
    (most of them, by ``went``), and to whoever has the phone now if there are none.
    """
    still = set(after.contact_ids)
    successor: dict[int, int] = {}
    now = {(i.kind, i.value): i.contact_id for i in after.identities}
    has_phone_now = {match_key(i.value): i.contact_id for i in after.identities if i.kind == "phone"}
    for identity in before:
        if identity.contact_id not in still:
            heir = now.get((identity.kind, identity.value))
            if heir is None:
                heirs = went.get(identity.contact_id) or {has_phone_now[identity.value.partition("@")[0]]: 1}
                heir = max(heirs, key=lambda contact_id: (heirs[contact_id], -contact_id))
            successor.setdefault(identity.contact_id, heir)
    touched: set[int] = set()
    for gone, kept in sorted(successor.items()):
        pair = {"gone": gone, "kept": kept}
        touched |= _ids(await (await conn.execute(FOLD_CONVERSATIONS, pair)).fetchall())
        for statement in (JOIN_DRAFTS, FOLD_DRAFTS, LEAVE_TRAIL):
            await conn.execute(statement, pair)
        touched |= _ids(await (await conn.execute(DROP_CONVERSATIONS, pair)).fetchall())  # pages are open on it
        touched |= _ids(await (await conn.execute(HAND_OVER, pair)).fetchall())
        for statement in (FOLD_CONTACT, DROP_CONTACT):
            await conn.execute(statement, pair)
    return touched


def _ids(rows: Iterable[tuple[int, ...]]) -> set[int]:
    return {row[0] for row in rows}
