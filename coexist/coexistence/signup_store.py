"""All SQL of signing up: attempts, and links for clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.rows import class_row, dict_row

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Connection
from coexist.coexistence.signup_model import Choice, Link, Party, Problem, Signup, State, Stopped, Way

BUSY_S: Final = 120
"""How long one attempt is left to whoever works on it: longer than all its calls to Meta may take."""
TOKEN_HOURS: Final = 24
"""How long an access token is kept for an attempt that did not get to its end."""

# ── attempts ──────────────────────────────────────────────────────────────────────────────────────────────

BEGIN: Final = """
INSERT INTO signups (id, account_id, link_id, user_id, person, way, renews_id, began_at, changed_at)
VALUES (%(id)s, %(account_id)s, %(link_id)s, %(user_id)s, %(person)s, %(way)s, %(renews_id)s, %(now)s, %(now)s)
    ON CONFLICT (id) DO NOTHING
"""


async def begin(conn: Connection, party: Party, signup_id: UUID, way: Way, renews_id: int | None) -> None:
    """Insert an attempt; one that is there already stays as it is."""
    values = {**asdict(party), "id": signup_id, "way": way, "renews_id": renews_id, "now": clock.now()}
    await conn.execute(BEGIN, values)


SIGNUP: Final = """
SELECT id, account_id, link_id, user_id, person, way::text, renews_id, state::text, problem, detail, meta_error,
       meta_session, meta_step, waba_id, chosen_id, choices, inbox_id, is_onboarding, is_in_review, began_at,
       changed_at, coalesce(busy_until > %(now)s, false) AS is_busy
  FROM signups
"""


async def get(conn: Connection, party: Party, signup_id: UUID) -> Signup | None:
    """Return an attempt of the party's account; of a client's only those over the same link."""
    where = "WHERE id = %(id)s AND account_id = %(account_id)s AND (%(link_id)s::int IS NULL OR link_id = %(link_id)s)"
    found = await _signups(conn, SIGNUP + where, {**asdict(party), "id": signup_id})
    return found[0] if found else None


async def recent(conn: Connection, account_id: int, count: int) -> list[Signup]:
    """Return the newest attempts of an account, newest first."""
    where = "WHERE account_id = %(account_id)s ORDER BY began_at DESC, id LIMIT %(count)s"
    return await _signups(conn, SIGNUP + where, {"account_id": account_id, "count": count})


# A later attempt that connected a number of the same WhatsApp account, or of the same person where that is not known,
# has done what is missed here.
UNFINISHED: Final = """
 WHERE account_id = %(account_id)s AND state = 'authorised' AND NOT EXISTS (
       SELECT FROM signups later JOIN inboxes i ON i.id = later.inbox_id
        WHERE later.account_id = signups.account_id AND later.state = 'connected' AND later.began_at > signups.began_at
          AND (i.waba_id = signups.waba_id
               OR signups.waba_id IS NULL AND (later.user_id, later.link_id)
                                              IS NOT DISTINCT FROM (signups.user_id, signups.link_id)))
 ORDER BY began_at DESC, id
"""


async def unfinished(conn: Connection, account_id: int) -> list[Signup]:
    """Return the attempts of an account that have access and wait for somebody to go on, newest first.

    Without those that a later attempt has made needless.
    """
    return await _signups(conn, SIGNUP + UNFINISHED, {"account_id": account_id})


LEFT: Final = """
 WHERE state = 'authorised' AND token IS NOT NULL AND (busy_until IS NULL OR busy_until <= %(now)s)
   AND (problem IS NULL
        OR problem = ANY(%(passing)s) AND began_at > %(now)s::timestamptz - %(hours)s * interval '1 hour'
        OR problem = ANY(%(lagging)s) AND began_at > %(now)s::timestamptz - interval '1 hour' AND NOT EXISTS (
           SELECT FROM signups later
            WHERE later.account_id = signups.account_id AND later.began_at > signups.began_at
              AND later.state >= 'authorised'
              AND (later.user_id, later.link_id) IS NOT DISTINCT FROM (signups.user_id, signups.link_id)))
   AND changed_at < %(now)s::timestamptz - greatest(%(least)s, (changed_at - began_at) / 4)
 ORDER BY changed_at LIMIT %(count)s
"""


async def left(
    conn: Connection, passing: Sequence[Problem], lagging: Sequence[Problem], least: timedelta, count: int
) -> list[Signup]:
    """Return attempts of every account that have access, that nobody works on, and with which nobody needs to decide.

    The ``passing`` problems are tried again for a day, the ``lagging`` ones for an hour unless the person has made
    another attempt, each time after a quarter of the time for which it has gone on, and not before ``least``.
    """
    values: dict[str, Any] = {"passing": list(passing), "lagging": list(lagging), "least": least, "count": count}
    return await _signups(conn, SIGNUP + LEFT, {**values, "hours": TOKEN_HOURS})


async def of_link(conn: Connection, link_id: int) -> list[Signup]:
    """Return every attempt made over a link, newest first."""
    return await _signups(conn, SIGNUP + "WHERE link_id = %(link_id)s ORDER BY began_at DESC, id", {"link_id": link_id})


async def _signups(conn: Connection, query: str, values: dict[str, Any]) -> list[Signup]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, {**values, "now": clock.now()})
        rows = await cursor.fetchall()
    return [Signup(**{**row, "choices": msgspec.convert(row["choices"], list[Choice])}) for row in rows]


async def note_told(conn: Connection, signup_id: UUID, waba_id: str) -> None:
    """Note which WABA Meta's window spoke of. It proves nothing."""
    await conn.execute("UPDATE signups SET waba_id = %s WHERE id = %s AND inbox_id IS NULL", (waba_id, signup_id))


# The window and the answer of the SDK tell of one ending in either order: the graver one stays.
END: Final = """
UPDATE signups
   SET state = %(state)s::signup_state, problem = %(problem)s, detail = %(detail)s, changed_at = %(now)s,
       meta_error = coalesce(%(error)s, meta_error), meta_session = coalesce(%(session)s, meta_session),
       meta_step = coalesce(%(step)s, meta_step)
 WHERE id = %(id)s AND state < 'authorised'
   AND (state < %(state)s::signup_state OR state = %(state)s::signup_state AND NOT %(yields)s)
"""


async def end(
    conn: Connection,
    signup_id: UUID,
    state: State,
    problem: str,
    *,
    detail: str | None = None,
    error: str | None = None,
    session: str | None = None,
    step: str | None = None,
    yields: bool = False,
) -> None:
    """Note that an attempt ended without access. With ``yields``, an ending of the same kind is left as it is."""
    told = {"detail": detail, "error": error, "session": session, "step": step, "yields": yields}
    await conn.execute(END, {"id": signup_id, "state": state, "problem": problem, "now": clock.now(), **told})


AUTHORISE: Final = """
UPDATE signups
   SET state = 'authorised', token = %(token)s, waba_id = coalesce(%(waba_id)s, waba_id), changed_at = %(now)s,
       problem = NULL, detail = NULL, choices = '[]', busy_until = NULL
 WHERE id = %(id)s AND state <> 'connected'
"""


async def authorise(
    conn: Connection, keyring: Keyring, signup_id: UUID, token: str, waba_id: str | None = None
) -> None:
    """Keep the access token of an attempt, sealed, whatever was told of the attempt before."""
    sealed = keyring.encrypt(token.encode(), row=row_of(signup_id))
    await conn.execute(AUTHORISE, {"id": signup_id, "token": sealed, "waba_id": waba_id, "now": clock.now()})


# What is too old to count goes with each that is written down.
ASK: Final = """
INSERT INTO signup_asks AS known (account_id, link_id, user_id, asked_at)
VALUES (%(account_id)s, %(link_id)s, %(user_id)s, ARRAY[%(now)s::timestamptz])
    ON CONFLICT (account_id, link_id, user_id) DO UPDATE
   SET asked_at = EXCLUDED.asked_at || ARRAY(SELECT at FROM unnest(known.asked_at) AS at WHERE at > %(since)s)
 WHERE (SELECT count(*) FROM unnest(known.asked_at) AS at WHERE at > %(since)s) < %(most)s
"""


async def ask(conn: Connection, party: Party, most: int, within: timedelta) -> bool:
    """Count that Meta is asked for somebody; False when they have had it asked ``most`` times lately."""
    now = clock.now()
    values = {"account_id": party.account_id, "link_id": party.link_id or 0, "user_id": party.user_id or 0}
    return (await conn.execute(ASK, {**values, "now": now, "since": now - within, "most": most})).rowcount > 0


CLAIM: Final = """
UPDATE signups
   SET busy_until = %(until)s, chosen_id = coalesce(%(chosen_id)s, chosen_id)
 WHERE id = %(id)s AND state = 'authorised' AND token IS NOT NULL AND (busy_until IS NULL OR busy_until <= %(now)s)
RETURNING token
"""


async def claim(conn: Connection, keyring: Keyring, signup_id: UUID, chosen_id: str | None) -> str | None:
    """Take an attempt with its token to finish it; None when somebody is at it, or nothing is left to do.

    Whoever dies over it gives it back after BUSY_S by not coming back. Raises SecretUnreadable.
    """
    now = clock.now()
    values = {"id": signup_id, "chosen_id": chosen_id, "now": now, "until": now + timedelta(seconds=BUSY_S)}
    row = await (await conn.execute(CLAIM, values)).fetchone()
    return None if row is None else keyring.decrypt(row[0], row=row_of(signup_id)).decode()


STOP: Final = """
UPDATE signups
   SET problem = %(problem)s, detail = %(detail)s, choices = %(choices)s::jsonb, meta_error = %(error)s,
       meta_session = %(trace)s, busy_until = NULL, changed_at = %(now)s
 WHERE id = %(id)s AND state = 'authorised'
"""


async def stop(conn: Connection, signup_id: UUID, stopped: Stopped) -> None:
    """Note why an attempt cannot go on now; it keeps its token, so that it can later."""
    choices = msgspec.json.encode(stopped.choices).decode()
    values = {"problem": stopped.problem, "detail": stopped.detail, "choices": choices}
    values |= {"error": stopped.error, "trace": stopped.trace}
    await conn.execute(STOP, {"id": signup_id, "now": clock.now(), **values})


NOTE_CONNECTED: Final = """
UPDATE signups
   SET inbox_id = %(inbox_id)s, is_onboarding = is_onboarding OR %(is_onboarding)s, is_in_review = %(is_in_review)s
 WHERE id = %(id)s
"""


async def note_connected(
    conn: Connection, signup_id: UUID, inbox_id: int, *, is_onboarding: bool, is_in_review: bool
) -> None:
    """Note which inbox an attempt connected, in the transaction that connected it."""
    values = {"id": signup_id, "inbox_id": inbox_id, "is_onboarding": is_onboarding, "is_in_review": is_in_review}
    await conn.execute(NOTE_CONNECTED, values)


FINISH: Final = """
UPDATE signups
   SET state = 'connected', token = NULL, problem = NULL, detail = NULL, choices = '[]', busy_until = NULL,
       changed_at = %(now)s
 WHERE id = %(id)s
"""


async def finish(conn: Connection, signup_id: UUID) -> None:
    """Note that nothing is left to do, and forget the token: the inbox has it."""
    await conn.execute(FINISH, {"id": signup_id, "now": clock.now()})


GIVE_UP: Final = """
UPDATE signups
   SET token = NULL, state = 'failed', problem = %(problem)s, detail = NULL, choices = '[]',
       meta_error = NULL, meta_session = NULL, changed_at = %(now)s
 WHERE id = %(id)s AND state = 'authorised' AND inbox_id IS NULL AND (busy_until IS NULL OR busy_until <= %(now)s)
"""


async def give_up(conn: Connection, signup_id: UUID) -> None:
    """End an attempt that has access and connected nothing, and forget its token."""
    await conn.execute(GIVE_UP, {"id": signup_id, "problem": Problem.GIVEN_UP, "now": clock.now()})


FORGET_TOKENS: Final = """
UPDATE signups
   SET token = NULL, state = 'failed', problem = %(problem)s, detail = NULL, busy_until = NULL
 WHERE token IS NOT NULL AND changed_at < %(old)s
"""


async def forget_tokens(conn: Connection) -> int:
    """Forget the tokens of attempts that nobody finished; return how many."""
    old = clock.now() - timedelta(hours=TOKEN_HOURS)
    return (await conn.execute(FORGET_TOKENS, {"problem": Problem.FORGOTTEN, "old": old})).rowcount


def row_of(signup_id: UUID) -> str:
    """What a token is sealed for."""
    return f"signup:{signup_id}:token"


# ── links ─────────────────────────────────────────────────────────────────────────────────────────────────

INSERT_LINK: Final = """
INSERT INTO signup_links (account_id, token_hash, made_for, made_by, made_at, expires_at)
VALUES (%(account_id)s, %(hash)s, %(made_for)s, %(made_by)s, %(made_at)s, %(expires_at)s)
"""


async def insert_link(
    conn: Connection, account_id: int, token_hash: bytes, made_for: str, made_by: int, expires_at: datetime
) -> None:
    """Insert a link, known by the hash of its token alone."""
    values = {"account_id": account_id, "hash": token_hash, "made_for": made_for, "made_by": made_by}
    await conn.execute(INSERT_LINK, {**values, "made_at": clock.now(), "expires_at": expires_at})


# Whoever clicked in time has done all the work in Meta's window by the time they come back: they may finish it.
LINK: Final = f"""
SELECT l.id, l.account_id, a.name AS account_name, l.made_for, u.name AS made_by, l.made_at, l.expires_at,
       greatest(l.expires_at, interval '{TOKEN_HOURS} hours' + (
           SELECT max(b.began_at) FROM signups b WHERE b.link_id = l.id AND b.began_at < l.expires_at)) AS open_until,
       l.revoked_at, l.used_at, s.person AS used_by, i.name AS inbox_name
  FROM signup_links l
  JOIN accounts a ON a.id = l.account_id
  LEFT JOIN users u ON u.id = l.made_by
  LEFT JOIN LATERAL (SELECT person, inbox_id FROM signups
                      WHERE link_id = l.id AND inbox_id IS NOT NULL ORDER BY began_at LIMIT 1) s ON true
  LEFT JOIN inboxes i ON i.id = s.inbox_id
"""


async def link_by_hash(conn: Connection, token_hash: bytes) -> Link | None:
    """Return the link with this hash, whatever became of it."""
    async with conn.cursor(row_factory=class_row(Link)) as cursor:
        await cursor.execute(LINK + "WHERE l.token_hash = %s", (token_hash,))
        return await cursor.fetchone()


async def links(conn: Connection, account_id: int, count: int) -> Sequence[Link]:
    """Return the newest links of an account, newest first."""
    async with conn.cursor(row_factory=class_row(Link)) as cursor:
        await cursor.execute(
            LINK + "WHERE l.account_id = %s ORDER BY l.made_at DESC, l.id LIMIT %s", (account_id, count)
        )
        return await cursor.fetchall()


REVOKE_LINK: Final = """
UPDATE signup_links SET revoked_at = coalesce(revoked_at, %(now)s)
 WHERE id = %(id)s AND account_id = %(account_id)s AND used_at IS NULL
"""


async def revoke_link(conn: Connection, account_id: int, link_id: int) -> bool:
    """Take a link back; False when the account has no such link, or it was used."""
    values = {"id": link_id, "account_id": account_id, "now": clock.now()}
    return (await conn.execute(REVOKE_LINK, values)).rowcount == 1


# Who was stopped after their number had been connected may go on with that number, by the same attempt or, when its
# access is gone, by another: the link was used for it. Once that has come to its end the link is done.
USE_LINK: Final = """
UPDATE signup_links l
   SET used_at = coalesce(used_at, %(now)s)
 WHERE l.id = %(id)s AND l.revoked_at IS NULL
   AND (l.used_at IS NULL
        OR EXISTS (SELECT FROM signups s WHERE s.link_id = l.id AND s.inbox_id = %(inbox_id)s)
           AND NOT EXISTS (SELECT FROM signups s WHERE s.link_id = l.id AND s.state = 'connected'))
"""


async def use_link(conn: Connection, link_id: int, inbox_id: int | None) -> bool:
    """Spend a link for a number, once; False when it was spent for another or is done, or was taken back.

    ``inbox_id`` is the number that is about to be connected, if it is known here.
    """
    values = {"id": link_id, "inbox_id": inbox_id, "now": clock.now()}
    cursor = await conn.execute(USE_LINK, values)
    return cursor.rowcount == 1
