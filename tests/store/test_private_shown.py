"""Private people whom others show, and what is still here of somebody who became private."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import pytest

from coexist.base.database import Pool, in_transaction, transaction
from coexist.base.errors import Conflict
from coexist.inbox import actions
from coexist.inbox import private as listing
from coexist.inbox import purge as here
from coexist.intake import purging
from tests.store.test_private import dump, purge, put_on_list, rows
from tests.support import intake, private, wire
from tests.support.business import PHONE, deliver, inbound, open_business
from tests.support.exported import clock as on
from tests.support.exported_desk import CHAT, Desk
from tests.support.hearing import subscribe, tell_due
from tests.support.intake import KEYRING, SHOP, body_of
from tests.support.listener import listening
from tests.support.outbox import write

SHOWN: Final = "351910559122"
"""Whose card stands in the invented chat."""


@pytest.mark.requirement("G11")
async def test_an_exported_chat_comes_without_what_shows_somebody_private(desk: Desk) -> None:
    await put_on_list(desk.pool, f"+{SHOWN}", desk.account_id)
    number = replace(CHAT[1], at=on(2026, 1, 7, 9), text="+351 910 559 122")
    sentence = replace(CHAT[1], at=on(2026, 1, 7, 10), text="Liga ao Rui, 910 559 122")
    await desk.bring_in([*CHAT, number, sentence])
    kept = await rows(desk.pool, "SELECT text FROM messages WHERE text LIKE '%%559 122%%' OR type = 'contacts'")
    assert kept == [(sentence.text,)], "somebody's own words stay"
    assert SHOWN.encode() not in await dump(desk.pool)


@pytest.mark.requirement("G11")
async def test_what_showed_them_before_goes_also_when_no_delivery_has_it_any_more(desk: Desk) -> None:
    await desk.bring_in([*CHAT, replace(CHAT[1], at=on(2026, 1, 7, 9), text="+351 910 559 122")])
    card = {"name": {"formatted_name": "Rui"}, "phones": [{"phone": f"+{SHOWN}", "wa_id": SHOWN}]}
    shows = inbound("wamid.C", "")
    shows["value"]["messages"][0] |= {"type": "contacts", "contacts": [card]}
    await deliver(desk.pool, shows)
    await rows(desk.pool, "DELETE FROM journal RETURNING 1")
    assert SHOWN.encode() in await dump(desk.pool)
    before = await rows(desk.pool, "SELECT count(*) FROM messages")
    number_id = await put_on_list(desk.pool, f"+{SHOWN}", desk.account_id)
    async with transaction(desk.pool) as conn:
        await listing.want_purge(conn, KEYRING, desk.account_id, number_id, typed=SHOWN)
    while await purging.step(desk.pool, KEYRING):
        pass
    assert SHOWN.encode() not in await dump(desk.pool)
    assert await rows(desk.pool, "SELECT count(*) FROM messages") == [(before[0][0] - 3,)]
    async with transaction(desk.pool) as conn:
        (number,) = await listing.numbers(conn, KEYRING, desk.account_id)
    assert number.purged_messages == 3


@pytest.mark.requirement("G11")
@pytest.mark.parametrize("state", ["queued", "failed", "unclear"])
async def test_what_we_wrote_to_others_that_is_nothing_but_their_number_goes_unsent_as_well(
    pool: Pool, state: str
) -> None:
    """Meta has given it no id, and no delivery has told of it."""
    business = await open_business(pool)
    await deliver(pool, inbound("wamid.1", "Tem o número dela?", phone=private.OTHER))
    await write(business, f"+{PHONE[:2]} {PHONE[2:]}")
    await rows(pool, "UPDATE outbox SET state = %s::outbox_state, sending_at = now() RETURNING 1", state)
    await write(business, "Já lhe digo")
    number_id = await put_on_list(pool, f"+{PHONE}", business.inbox.account_id)
    await rows(pool, "UPDATE outbox SET state = 'sending' WHERE state = %s::outbox_state RETURNING 1", state)
    async with transaction(pool) as conn:
        await listing.want_purge(conn, KEYRING, business.inbox.account_id, number_id, typed=PHONE)
    for _ in range(5):
        await purging.step(pool, KEYRING)
    assert len(await rows(pool, "SELECT FROM messages")) == 3, "a call ends before its message goes"
    await rows(pool, "UPDATE outbox SET state = %s::outbox_state RETURNING 1", state)
    while await purging.step(pool, KEYRING):
        pass
    assert PHONE[2:].encode() not in await dump(pool)
    assert await rows(pool, "SELECT text FROM messages ORDER BY id") == [("Tem o número dela?",), ("Já lhe digo",)]
    async with transaction(pool) as conn:
        (number,) = await listing.numbers(conn, KEYRING, business.inbox.account_id)
    assert number.purged_messages == 1


@pytest.mark.requirement("G11")
async def test_drafts_and_notes_about_others_that_are_nothing_but_their_number_go(pool: Pool) -> None:
    business = await open_business(pool)
    await deliver(pool, inbound("wamid.1", "Tem o número dela?", phone=private.OTHER))
    talk, contact = (await rows(pool, "SELECT id, contact_id FROM conversations"))[0]
    alone = f" +{PHONE[:2]} {PHONE[2:5]}-{PHONE[5:]} "

    async def team(text: str) -> None:
        async with transaction(pool) as conn:
            await actions.save_draft(conn, KEYRING, business.member, talk, text)
            await actions.write_note(conn, KEYRING, business.member, contact, text)

    async def purged() -> None:
        async with transaction(pool) as conn:
            await listing.want_purge(conn, KEYRING, business.inbox.account_id, number_id, typed=PHONE)
        while await purging.step(pool, KEYRING):
            pass

    written = "SELECT d.text, k.note FROM contacts k LEFT JOIN drafts d ON d.conversation_id = %s WHERE k.id = %s"
    await team(alone)
    number_id = await put_on_list(pool, f"+{PHONE}", business.inbox.account_id)
    assert await rows(pool, written, talk, contact) == [(alone, alone.strip())], "nobody has asked for more"
    await purged()
    assert await rows(pool, written, talk, contact) == [(None, None)]
    await team(f"É o {PHONE}")
    await purged()
    assert await rows(pool, written, talk, contact) == [(f"É o {PHONE}",) * 2], "a sentence is somebody's words"


@pytest.mark.requirement("G11")
async def test_what_somebody_writes_over_it_while_it_is_looked_for_stays(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    business = await open_business(pool)
    await deliver(pool, inbound("wamid.1", "Tem o número dela?", phone=private.OTHER))
    talk, contact = (await rows(pool, "SELECT id, contact_id FROM conversations"))[0]

    async def team(text: str) -> None:
        async with transaction(pool) as conn:
            await actions.save_draft(conn, KEYRING, business.member, talk, text)
            await actions.write_note(conn, KEYRING, business.member, contact, text)

    def overtaken(look: Any) -> Any:
        async def looked(*args: Any) -> Any:
            found = await look(*args)
            if found:
                await team(f"É o {PHONE}")
            return found

        return looked

    for before_it in ("drafts_of", "notes_of"):
        await team(PHONE)
        with monkeypatch.context() as patched:
            patched.setattr(here, before_it, overtaken(getattr(here, before_it)))
            number_id = await put_on_list(pool, f"+{PHONE}", business.inbox.account_id)
            async with transaction(pool) as conn:
                await listing.want_purge(conn, KEYRING, business.inbox.account_id, number_id, typed=PHONE)
            while await purging.step(pool, KEYRING):
                pass
        kept = await rows(pool, "SELECT d.text, k.note FROM contacts k LEFT JOIN drafts d ON true")
        assert kept == [(f"É o {PHONE}", f"É o {PHONE}")], before_it
        async with transaction(pool) as conn:
            await listing.remove(conn, business.inbox.account_id, number_id)


@pytest.mark.requirement("G11")
async def test_what_is_nothing_but_their_number_is_not_written_to_anybody(pool: Pool) -> None:
    business = await open_business(pool)
    await deliver(pool, inbound("wamid.1", "Tem o número dela?", phone=private.OTHER))
    talk, contact = (await rows(pool, "SELECT id, contact_id FROM conversations"))[0]
    await put_on_list(pool, f"+{PHONE}", business.inbox.account_id)
    alone = f"+{PHONE[:3]} {PHONE[3:]}"
    async with transaction(pool) as conn:
        await actions.save_draft(conn, KEYRING, business.member, talk, "É o")
        await actions.save_draft(conn, KEYRING, business.member, talk, alone)
    for refused in (
        write(business, alone),
        in_transaction(pool, lambda conn: actions.write_note(conn, KEYRING, business.member, contact, alone)),
    ):
        with pytest.raises(Conflict, match=r"nothing but a private number.* Write it in the phone app"):
            await refused
    assert PHONE[3:].encode() not in await dump(pool)
    assert await rows(pool, "SELECT FROM drafts") == []
    await write(business, f"É o {alone}")
    await write(business, f"+{private.OTHER}")
    assert len(await rows(pool, "SELECT FROM outbox")) == 2


@pytest.mark.requirement("G11", "E3")
async def test_what_is_still_here_of_them_is_told_to_no_program(pool: Pool) -> None:
    business = await open_business(pool)
    async with listening() as program:
        await subscribe(pool, business.member, program.url)
        await deliver(pool, inbound("wamid.1", "Olá"), inbound("wamid.2", "Oi", phone=private.OTHER))
        number_id = await put_on_list(pool, f"+{PHONE}", business.inbox.account_id)
        await tell_due(pool)
        assert [event["message"]["text"] for event in program.of_kind("message.added")] == ["Oi"]
        assert {event["contact"]["phone"] for event in program.of_kind("contact.changed")} == {private.OTHER}
        assert len(program.of_kind("conversation.changed")) == 1
        async with transaction(pool) as conn:
            await listing.want_purge(conn, KEYRING, business.inbox.account_id, number_id, typed=PHONE)
        while await purging.step(pool, KEYRING):
            pass
        await tell_due(pool)
        assert len(program.of_kind("conversation.removed")) == 1, "ids alone"
        assert PHONE.encode() not in b"".join(post.body for post in program.posts)


@pytest.mark.requirement("G11")
async def test_an_edit_without_its_message_is_forgotten_with_its_delivery(pool: Pool) -> None:
    """It hangs on nobody, so once the journal has let go of it nobody could tell whose words it holds."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    edit = wire.edit("wamid.never", f"{private.WORDS} edited")
    await intake.deliver(pool, [body_of(wire.message("wamid.E", 5, edit, phone=private.WA_ID))])
    await purge(pool, await put_on_list(pool))
    assert private.traces_in(await dump(pool)) == []


@pytest.mark.requirement("G11")
async def test_an_id_that_only_the_tables_know_to_be_theirs_is_learned(pool: Pool) -> None:
    """The delivery that told of a rotation is gone, when a later one tells whose the first id was."""
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
    await intake.deliver(pool, [body_of(wire.rotated(private.BSUID, private.NEXT_BSUID, 1))])
    await rows(pool, "DELETE FROM journal RETURNING 1")
    await intake.deliver(pool, [body_of(wire.message("wamid.A", 2, private.text("a"), bsuid=private.NEXT_BSUID))])
    await put_on_list(pool)
    pair = wire.message("wamid.B", 3, private.text("b"), phone=private.WA_ID, bsuid=private.BSUID)
    await intake.deliver(pool, [body_of(pair)])
    while await purging.step(pool, KEYRING):
        pass
    assert private.traces_in(await dump(pool)) == []


QUOTING: Final = """
CREATE FUNCTION quote() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'cannot take: %%', NEW.text USING ERRCODE = 'data_exception'; END $$;
CREATE TRIGGER quote BEFORE INSERT ON messages
   FOR EACH ROW WHEN (NEW.text LIKE '%s%%') EXECUTE FUNCTION quote();
"""


@pytest.mark.requirement("G11")
@pytest.mark.parametrize("is_replayed", [False, True], ids=["removed", "tried again first"])
async def test_an_error_that_quoted_them_is_forgotten(pool: Pool, is_replayed: bool) -> None:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP)
        await conn.execute((QUOTING % private.WORDS).encode())
    theirs = wire.message("wamid.A", 1, private.text("a"), phone=private.WA_ID)
    await intake.deliver(pool, [body_of(theirs, wire.message("wamid.B", 1, wire.text("Oi"), phone=private.OTHER))])
    assert private.traces_in(await dump(pool)) != []
    assert await rows(pool, "SELECT FROM quarantine WHERE error LIKE '%%cannot take%%'") != []
    number_id = await put_on_list(pool)
    if is_replayed:
        await rows(pool, "INSERT INTO backlog (lane, journal_id) SELECT 1, id FROM journal RETURNING 1")
        await intake.apply_all(pool)
    await purge(pool, number_id)
    await intake.apply_all(pool)
    assert private.traces_in(await dump(pool)) == []
    assert await rows(pool, "SELECT FROM quarantine") == []
    assert len(await rows(pool, "SELECT FROM quarantine_settled WHERE error LIKE 'What was wrong is not kept%%'")) == 1


@pytest.mark.requirement("G11")
async def test_the_end_of_a_removal_goes_by_small_steps_that_may_break_off_anywhere(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others wrote that shows them, and lines of the timeline: no delivery has them any more."""
    business = await open_business(pool)
    texts = [f"+{PHONE[:3]} {PHONE[3:]}" if n % 2 else f"Olá {n}" for n in range(8)]
    await deliver(pool, *(inbound(f"wamid.{n}", text, phone=private.OTHER) for n, text in enumerate(texts)))
    line = (
        "INSERT INTO inbox_timeline (inbox_id, at, field, event, value, digest)"
        " SELECT %s, now(), 'messages', 'X', jsonb_build_object('from', %s::text), n FROM generate_series(1, 3) n"
        " RETURNING 1"
    )
    await rows(pool, line, business.inbox.id, PHONE)
    await rows(pool, "DELETE FROM journal RETURNING 1")
    number_id = await put_on_list(pool, f"+{PHONE}", business.inbox.account_id)
    async with transaction(pool) as conn:
        await listing.want_purge(conn, KEYRING, business.inbox.account_id, number_id, typed=PHONE)
    monkeypatch.setattr(here, "SHOWN_ROWS", 1)
    monkeypatch.setattr(here, "ROWS_COUNT", 1)
    monkeypatch.setattr(purging, "vacuum", nothing)
    counted = "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM inbox_timeline WHERE event = 'X')"
    before, steps = (await rows(pool, counted))[0], 0
    settle = here.purge_messages
    while True:
        async with transaction(pool) as conn:
            (number,) = await listing.numbers(conn, KEYRING, business.inbox.account_id)
        if number.purged_at:
            break
        if steps % 2:  # who is at it dies before the step is committed
            monkeypatch.setattr(here, "purge_messages", dies)
            with suppress(Died):
                await purging.step(pool, KEYRING)
            monkeypatch.setattr(here, "purge_messages", settle)
        else:
            await purging.step(pool, KEYRING)
        after, steps = (await rows(pool, counted))[0], steps + 1
        assert before[0] - after[0] <= 1, "one step looks at one message"
        assert before[1] - after[1] <= 1
        before = after
    assert before == (4, 0)
    assert number.purged_messages == 4
    assert PHONE.encode() not in await dump(pool)


class Died(Exception):
    """A process has ended."""


async def dies(*_: object) -> None:
    raise Died


async def nothing(*_: object, **__: object) -> None:
    """No room is given back."""
