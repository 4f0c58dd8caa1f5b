"""All SQL of templates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from coexist.base import clock
from coexist.base.database import Connection
from coexist.meta.answers import Template as Listed
from coexist.meta.templates import language_of
from coexist.templates.model import Listing, Template, Told
from coexist.templates.rules import AHEAD, GONE, LAG, PAUSED, REST

Key = tuple[int, str]
"""Whose list: the account, and the WhatsApp account (WABA) of its numbers."""

# What holds of templates t. A webhook and the refusal of a message tell what has just happened; Meta's list lags.
# What was told of a template that has since been deleted, and made anew under the same name, does not count.
STATUS: Final = f"""(CASE
    WHEN t.told_at IS NOT NULL
         AND (t.listed_at IS NULL OR t.listed_at <= t.told_at + interval '{LAG.total_seconds():.0f} seconds')
         AND (t.told_id IS NULL OR t.template_id IS NULL OR t.told_id = t.template_id) THEN t.told_status
    ELSE t.listed_status END)"""

# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS: Final = f"""
SELECT t.id, t.account_id, t.waba_id, t.name, t.language, t.template_id, t.category, t.parameter_format,
       t.components::text AS components, t.quality, t.rejected_reason, {STATUS} AS status, t.told_reason,
       coalesce(t.listed_status <> '{GONE}', false) AS is_listed
  FROM templates t
"""
# What Meta's list does not have, nobody knows the text of, whatever webhooks and refusals say of it.
SHOWN: Final = f"t.listed_status <> '{GONE}' AND {STATUS} <> 'DELETED'"


async def of_waba(conn: Connection, account_id: int, waba_id: str) -> Sequence[Template]:
    """Return the templates of a WhatsApp account as far as Meta has listed them, by name and language."""
    async with conn.cursor(row_factory=class_row(Template)) as cursor:
        await cursor.execute(
            f"{COLUMNS} WHERE t.account_id = %s AND t.waba_id = %s AND {SHOWN} ORDER BY t.name, t.language",
            (account_id, waba_id),
        )
        return await cursor.fetchall()


async def get(conn: Connection, account_id: int, waba_id: str, id_: int) -> Template | None:
    """Return a template of a WhatsApp account; None when it is not there any more, or is another's."""
    async with conn.cursor(row_factory=class_row(Template)) as cursor:
        where = "WHERE t.id = %s AND t.account_id = %s AND t.waba_id = %s"
        await cursor.execute(f"{COLUMNS} {where}", (id_, account_id, waba_id))
        return await cursor.fetchone()


async def by_name(conn: Connection, account_id: int, waba_id: str, name: str, language: str) -> Template | None:
    """Return the template of this name and language; None when nothing is known of it."""
    async with conn.cursor(row_factory=class_row(Template)) as cursor:
        where = "WHERE t.account_id = %s AND t.waba_id = %s AND t.name = %s AND t.language = %s"
        await cursor.execute(f"{COLUMNS} {where}", (account_id, waba_id, name, language_of(language)))
        return await cursor.fetchone()


LISTING: Final = "SELECT listed_at, next_at, problem FROM template_lists WHERE account_id = %s AND waba_id = %s"


async def listing(conn: Connection, account_id: int, waba_id: str) -> Listing | None:
    """Return what is known of a list; None before Meta was to be asked for it."""
    async with conn.cursor(row_factory=class_row(Listing)) as cursor:
        await cursor.execute(LISTING, (account_id, waba_id))
        return await cursor.fetchone()


# ── what webhooks and refusals tell ───────────────────────────────────────────────────────────────────────

# The newest counts; of one moment the greater word, so that any order ends the same.
TELL: Final = """
INSERT INTO templates AS t (account_id, waba_id, name, language, told_status, told_at, told_id, told_reason)
SELECT DISTINCT ON (r.account_id, r.waba_id, r.name, r.language)
       r.account_id, r.waba_id, r.name, r.language, r.status, r.at, r.template_id, r.reason
  FROM json_to_recordset(%s::json) AS r (account_id int, waba_id text, name text, language text, status text,
                                         at timestamptz, template_id text, reason text)
 ORDER BY r.account_id, r.waba_id, r.name, r.language, r.at DESC, r.status DESC, r.template_id DESC NULLS LAST,
          r.reason DESC NULLS LAST
    ON CONFLICT (account_id, waba_id, name, language) DO UPDATE
   SET told_status = EXCLUDED.told_status, told_at = EXCLUDED.told_at, told_id = EXCLUDED.told_id,
       told_reason = EXCLUDED.told_reason
 WHERE t.told_at IS NULL
    OR (EXCLUDED.told_at, EXCLUDED.told_status, coalesce(EXCLUDED.told_id, ''), coalesce(EXCLUDED.told_reason, ''))
       > (t.told_at, t.told_status, coalesce(t.told_id, ''), coalesce(t.told_reason, ''))
"""


async def tell(conn: Connection, told: Iterable[Told]) -> None:
    """Write down what was told of templates. Safe to repeat, in any order."""
    rows = _rows(told)
    if rows:
        await conn.execute(TELL, (msgspec.json.encode(rows).decode(),))


NEWS: Final = f"""
SELECT DISTINCT r.account_id, r.waba_id
  FROM json_to_recordset(%s::json) AS r (account_id int, waba_id text, name text, language text, status text)
 WHERE NOT EXISTS (SELECT FROM templates t
                    WHERE (t.account_id, t.waba_id, t.name, t.language)
                          = (r.account_id, r.waba_id, r.name, r.language) AND {STATUS} = r.status)
"""


async def news(conn: Connection, told: Iterable[Told]) -> set[Key]:
    """Return whose templates have another status than what is told of them, before it is written down."""
    rows = _rows(told)
    return set(await (await conn.execute(NEWS, (msgspec.json.encode(rows).decode(),))).fetchall()) if rows else set()


def _rows(told: Iterable[Told]) -> list[dict[str, Any]]:
    return [asdict(each) | {"language": language_of(each.language)} for each in told]


# A long list is asked for less often: each hundred of its templates is one more call of those that an hour allows.
DOUBT: Final = """
INSERT INTO template_lists AS l (account_id, waba_id, since, next_at)
SELECT account_id, waba_id, %(now)s, %(at)s
  FROM unnest(%(accounts)s::int[], %(wabas)s::text[]) AS k (account_id, waba_id)
 ORDER BY 1, 2
    ON CONFLICT (account_id, waba_id) DO UPDATE
   SET since = EXCLUDED.since, attempts = 0,
       next_at = least(l.next_at, greatest(EXCLUDED.next_at, l.listed_at + %(rest)s * (
                 SELECT count(*) FROM templates t WHERE t.account_id = l.account_id AND t.waba_id = l.waba_id)))
"""


async def doubt(conn: Connection, lists: Collection[Key], at: datetime, *, rest: timedelta = REST) -> None:
    """Have Meta asked for these lists at ``at``, if not before; later where a long one was read just now.

    ``rest`` is how long a list rests for each of its templates: no time where a person asks.
    """
    if lists:
        accounts, wabas = (list(column) for column in zip(*sorted(set(lists)), strict=True))
        values = {"now": clock.now(), "at": at, "rest": rest, "accounts": accounts, "wabas": wabas}
        await conn.execute(DOUBT, values)


# ── what Meta lists ───────────────────────────────────────────────────────────────────────────────────────

# Of two answers the one that was asked for later counts. One from the future is a wrong clock's, and counts no more.
OUTDATED: Final = (
    f"(t.listed_at < %(at)s OR t.listed_at > %(at)s::timestamptz + interval '{AHEAD.total_seconds():.0f} seconds')"
)
KEEP: Final = f"""
INSERT INTO templates AS t (account_id, waba_id, name, language, template_id, category, parameter_format, components,
                            quality, rejected_reason, listed_status, listed_at)
SELECT DISTINCT ON (r.name, r.language) %(account_id)s, %(waba_id)s, r.name, r.language, r.template_id, r.category,
       r.parameter_format, r.components, r.quality, r.rejected_reason, r.status, %(at)s
  FROM json_to_recordset(%(rows)s::json) AS r (name text, language text, template_id text, category text,
       parameter_format text, components jsonb, quality text, rejected_reason text, status text)
 ORDER BY r.name, r.language, r.template_id DESC
    ON CONFLICT (account_id, waba_id, name, language) DO UPDATE
   SET template_id = EXCLUDED.template_id, category = EXCLUDED.category,
       parameter_format = EXCLUDED.parameter_format, components = EXCLUDED.components, quality = EXCLUDED.quality,
       rejected_reason = EXCLUDED.rejected_reason, listed_status = EXCLUDED.listed_status,
       listed_at = EXCLUDED.listed_at
 WHERE t.listed_at IS NULL OR {OUTDATED}
"""
NOT_LISTED: Final = f"""
UPDATE templates t SET listed_status = '{GONE}', listed_at = %(at)s
 WHERE t.account_id = %(account_id)s AND t.waba_id = %(waba_id)s AND {OUTDATED}
"""
TOLD_BY_A_WRONG_CLOCK: Final = f"""
UPDATE templates t SET told_status = NULL, told_at = NULL, told_id = NULL, told_reason = NULL
 WHERE t.account_id = %(account_id)s AND t.waba_id = %(waba_id)s
   AND t.listed_at IS NOT NULL
   AND t.told_at > %(at)s::timestamptz + interval '{AHEAD.total_seconds():.0f} seconds'
"""
IS_LATE: Final = f"""
SELECT EXISTS (SELECT FROM templates t WHERE t.account_id = %(account_id)s AND t.waba_id = %(waba_id)s
                  AND t.listed_at > %(at)s AND NOT {OUTDATED})
"""
STANDS: Final = f"""
SELECT coalesce(bool_or({STATUS} = '{PAUSED}'), false), max(t.told_at)
  FROM templates t WHERE t.account_id = %(account_id)s AND t.waba_id = %(waba_id)s
"""


async def keep_list(
    conn: Connection, key: Key, listed: Sequence[Listed], asked_at: datetime
) -> tuple[bool, datetime | None]:
    """Keep Meta's answer. Returns whether a template is paused, and when something was told of one last.

    ``asked_at`` is from before the call: what is told from then on is newer.
    """
    values: dict[str, Any] = {"account_id": key[0], "waba_id": key[1], "at": asked_at}
    late = await (await conn.execute(IS_LATE, values)).fetchone()
    if late != (True,):  # what came since knows better, also of templates that are not here
        await conn.execute(KEEP, values | {"rows": msgspec.json.encode([_row(each) for each in listed]).decode()})
        await conn.execute(NOT_LISTED, values)
    await conn.execute(TOLD_BY_A_WRONG_CLOCK, values)
    row = await (await conn.execute(STANDS, values)).fetchone()
    assert row is not None
    return bool(row[0]), row[1]


def _row(listed: Listed) -> dict[str, Any]:
    return {
        "name": listed.name,
        "language": language_of(listed.language),
        "template_id": str(listed.id),
        "category": listed.category,
        "parameter_format": listed.parameter_format,
        "components": listed.components,
        "quality": listed.quality_score.score if listed.quality_score else None,
        "rejected_reason": None if listed.rejected_reason in ("", "NONE") else listed.rejected_reason,
        "status": listed.status,
    }
