"""Messages and decisions follow their people when contacts turn out to be one, or a phone to have had two owners."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest

from coexist.base import clock
from coexist.base.database import Pool, open_pool, transaction
from coexist.inbox import actions
from tests.support import databases, intake, snapshot, wire
from tests.support.business import BSUID, PHONE, Business, change, conversation_of, deliver, inbound, open_business
from tests.support.intake import KEYRING, SHOP, body_of

PAIR: Final = change(
    "messages",
    statuses=[
        {"id": "wamid.PAIR", "status": "sent", "timestamp": "1794000000"}
        | {"recipient_id": PHONE, "recipient_user_id": BSUID}
    ],
)
"""A status that tells of both identities, and so that they are one person's."""


async def rows(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query)).fetchall()


@dataclass(frozen=True)
class Stranger:
    """A customer as known by one identity alone."""

    conversation_id: int
    message_id: int


async def two_strangers(business: Business) -> dict[str, Stranger]:
    """One customer who wrote twice, and is known as two."""
    await deliver(business.pool, inbound("wamid.1", "By phone"))
    await deliver(business.pool, inbound("wamid.2", "By BSUID", phone=None, bsuid=BSUID))
    found = await rows(business.pool, "SELECT peer, conversation_id, id FROM messages")
    return {peer: Stranger(conversation_id, id_) for peer, conversation_id, id_ in found}


async def finish(business: Business, stranger: Stranger) -> None:
    """Read and resolve a conversation."""
    async with transaction(business.pool) as conn:
        await actions.mark_read(conn, business.member, stranger.conversation_id, stranger.message_id)
        await actions.resolve(conn, business.member, stranger.conversation_id)


SUMMARY: Final = "SELECT state::text, unread_count > 0, waiting_since IS NOT NULL FROM conversations"


@pytest.mark.requirement("D8")
@pytest.mark.parametrize("finished", [PHONE, BSUID])
async def test_a_customer_nobody_has_read_stays_open_and_unread_when_joined_to_one_who_is_done(
    pool: Pool, finished: str
) -> None:
    business = await open_business(pool)
    strangers = await two_strangers(business)
    await finish(business, strangers[finished])
    assert sorted(await rows(pool, SUMMARY)) == [("open", True, True), ("resolved", False, True)]
    await deliver(pool, PAIR)
    assert await rows(pool, SUMMARY) == [("open", True, True)]


@pytest.mark.requirement("D8")
async def test_what_was_read_of_one_says_nothing_about_what_was_not_of_the_other(pool: Pool) -> None:
    business = await open_business(pool)
    await finish(business, (await two_strangers(business))[BSUID])
    await deliver(pool, inbound("wamid.3", "By BSUID again", phone=None, bsuid=BSUID))
    assert await rows(pool, "SELECT unread_count FROM conversations") == [(1,), (1,)]
    await deliver(pool, PAIR)
    ((unread_count,),) = await rows(pool, "SELECT unread_count FROM conversations")
    assert unread_count >= 2


async def test_two_conversations_that_were_read_and_resolved_make_one_that_is(pool: Pool) -> None:
    business = await open_business(pool)
    for stranger in (await two_strangers(business)).values():
        await finish(business, stranger)
    await deliver(pool, PAIR)
    assert await rows(pool, SUMMARY) == [("resolved", False, True)]


async def test_what_somebody_was_writing_to_both_is_joined(pool: Pool) -> None:
    business = await open_business(pool)
    strangers = await two_strangers(business)
    async with transaction(pool) as conn:
        for peer, stranger in strangers.items():
            await actions.save_draft(conn, KEYRING, business.member, stranger.conversation_id, f"to {peer}")
    await deliver(pool, PAIR)
    ((conversation_id, text),) = await rows(pool, "SELECT conversation_id, text FROM drafts")
    assert conversation_id == await conversation_of(pool)
    assert sorted(text.split("\n\n")) == [f"to {PHONE}", f"to {BSUID}"]


async def test_what_somebody_was_writing_to_one_goes_along(pool: Pool) -> None:
    business = await open_business(pool)
    strangers = await two_strangers(business)
    async with transaction(pool) as conn:
        await actions.save_draft(conn, KEYRING, business.member, strangers[BSUID].conversation_id, "to be sent")
    await deliver(pool, PAIR)
    assert await rows(pool, "SELECT conversation_id, text FROM drafts") == [(await conversation_of(pool), "to be sent")]


@pytest.mark.requirement("F4", "F7")
@pytest.mark.parametrize("order", [(PHONE, BSUID), (BSUID, PHONE)], ids=["the younger last", "the older last"])
async def test_of_two_names_the_team_gave_the_newer_stays_and_every_note_and_assignment(
    pool: Pool, order: tuple[str, str]
) -> None:
    business = await open_business(pool)
    strangers = await two_strangers(business)
    contacts = dict(await rows(pool, "SELECT id, contact_id FROM conversations"))
    for peer in order:
        contact_id = contacts[strangers[peer].conversation_id]
        async with transaction(pool) as conn:
            await actions.rename_contact(conn, business.member, contact_id, f"called by {peer}")
            await actions.write_note(conn, KEYRING, business.member, contact_id, f"noted of {peer}")
    async with transaction(pool) as conn:
        conversation_id = strangers[order[0]].conversation_id
        await actions.assign(conn, business.member, conversation_id, business.member.user_id)
    await deliver(pool, PAIR)
    ((name, note),) = await rows(pool, "SELECT display_name, note FROM contacts")
    assert name == f"called by {order[1]}"
    assert sorted(note.split("\n\n")) == [f"noted of {PHONE}", f"noted of {BSUID}"]
    assert await rows(pool, "SELECT assignee_id FROM conversations") == [(business.member.user_id,)]


@pytest.mark.requirement("D1", "D6")
async def test_a_message_of_a_phone_with_two_owners_has_one_place_whether_history_or_live_came_first(
    server_url: str, template_name: str
) -> None:
    # The two copies differ in their time, and between the two times the phone changed hands.
    owners = [
        wire.message(f"wamid.{n}", at, wire.text("Oi"), bsuid=f"PT.{n}", phone=PHONE) for n, at in ((1, -20), (2, 0))
    ]
    told = wire.past("wamid.z", 5, wire.text("past"), phone=PHONE)
    copies = [
        wire.history([wire.thread(PHONE, None, [told])]),
        wire.message("wamid.z", 5, wire.text("live"), phone=PHONE),
    ]
    taken = []
    for order in (copies, copies[::-1]):
        async with databases.clone(server_url, template_name) as url, open_pool(url) as pool:
            async with transaction(pool) as conn:
                await intake.connect(conn, SHOP)
            for each in [*owners, *order]:
                await intake.deliver(pool, [body_of(each)])
            async with transaction(pool) as conn:
                taken.append(await snapshot.take(conn))
            by_wamid = dict(await rows(pool, "SELECT wamid, conversation_id FROM messages"))
        assert by_wamid["wamid.z"] == by_wamid["wamid.2"] != by_wamid["wamid.1"]
    assert taken[0] == taken[1]


@pytest.mark.requirement("F4", "F7")
async def test_what_was_noted_of_who_left_a_phone_follows_their_messages_not_the_phone(pool: Pool) -> None:
    business, new = await open_business(pool), PHONE.replace("111", "333")
    at = clock.now().replace(microsecond=0)
    moved = {"type": "system", "system": {"type": "user_changed_number", "body": "changed", "wa_id": PHONE}}
    move = {"id": "wamid.move", "from": new, "timestamp": str(int(at.timestamp()) - 60), **moved}
    await deliver(pool, change("messages", messages=[move]))
    await deliver(pool, inbound("wamid.1", "Before they had it", at=at - timedelta(seconds=120)))
    ((contact_id,),) = await rows(
        pool, "SELECT contact_id FROM conversations c JOIN messages m ON m.conversation_id = c.id AND wamid = 'wamid.1'"
    )
    async with transaction(pool) as conn:
        await actions.write_note(conn, KEYRING, business.member, contact_id, "pays late")
    await deliver(pool, inbound("wamid.2", "My user id", bsuid=BSUID, at=at - timedelta(seconds=150)))
    noted = "SELECT i.value FROM contacts k JOIN identities i ON i.contact_id = k.id WHERE note IS NOT NULL"
    assert await rows(pool, noted) == [(BSUID,)]


@pytest.mark.requirement("C4", "F4")
async def test_whom_nothing_joins_any_more_is_parted_and_nothing_of_theirs_is_put_aside(pool: Pool) -> None:
    """What had joined them goes with a private number that was theirs before: the next news of either parts them."""
    business = await open_business(pool)
    await two_strangers(business)
    await deliver(pool, PAIR)
    assert len(await rows(pool, "SELECT FROM contacts")) == 1
    async with transaction(pool) as conn:
        await conn.execute("DELETE FROM identity_sightings")
    await deliver(pool, inbound("wamid.3", "By both", bsuid="PT.40010020030040099"))
    assert await rows(pool, "SELECT error FROM quarantine") == []
    owners = await rows(
        pool,
        "SELECT m.wamid, string_agg(i.kind::text, ' ' ORDER BY i.kind), min(i.value) FROM messages m"
        "  JOIN conversations c ON c.id = m.conversation_id JOIN identities i ON i.contact_id = c.contact_id"
        " GROUP BY m.wamid ORDER BY m.wamid",
    )
    both = ("bsuid phone", PHONE)
    assert owners == [("wamid.1", *both), ("wamid.2", "bsuid", BSUID), ("wamid.3", *both)]
