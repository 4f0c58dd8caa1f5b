"""One person under many ids: who is joined with whom, under which name, and what is never rewritten."""

from typing import Any, Final

import pytest

from coexist.base.database import Connection, Pool, transaction
from coexist.inbox import actions, evidence, locks
from coexist.people import actions as people
from coexist.people.model import Role
from tests.support import intake, wire
from tests.support.intake import BRANCH, SHOP, body_of

ELSEWHERE: Final = intake.Number("555100020003009", "351210559000", "701122334455999", SHOP.portfolio_id)


async def told(pool: Pool, *changes: dict[str, Any]) -> None:
    """Deliver and apply each change by itself."""
    await intake.deliver(pool, [body_of(change) for change in changes])


async def rows(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query)).fetchall()


NAMES: Final = "SELECT display_name FROM contacts ORDER BY display_name"
CONVERSATIONS: Final = """
SELECT i.phone_number_id, array_agg(m.wamid ORDER BY m.wamid)
  FROM messages m JOIN inboxes i ON i.id = m.inbox_id GROUP BY m.conversation_id, 1 ORDER BY 1, 2
"""


@pytest.fixture
async def shop(pool: Pool) -> Pool:
    async with transaction(pool) as conn:
        await intake.connect(conn, SHOP, BRANCH)
    return pool


@pytest.mark.requirement("F2")
@pytest.mark.parametrize(
    ("one", "other"),
    [("5511985500111", "551185500111"), ("5215550100123", "525550100123"), ("5491155550101", "541155550101")],
    ids=["Brazil", "Mexico", "Argentina"],
)
async def test_national_forms_are_one_person_wherever_they_stand(shop: Pool, one: str, other: str) -> None:
    await told(
        shop,
        wire.message("wamid.1", 1, wire.text("Oi"), phone=one),
        wire.echo("wamid.2", 2, wire.text("Olá"), phone=other),
        wire.history([wire.thread(other, None, [wire.past("wamid.3", 3, wire.text("antes"), phone=other)])]),
        wire.history([wire.thread(one, None, [wire.past("wamid.4", 4, wire.text("antes"), outbound=True, phone=one)])]),
        wire.entry(5, name="Ana jardim", phone=other),
    )
    assert await rows(shop, NAMES) == [("Ana jardim",)]
    assert await rows(shop, CONVERSATIONS) == [(SHOP.phone_number_id, [f"wamid.{n}" for n in (1, 2, 3, 4)])]
    kept = await rows(shop, "SELECT value FROM identities ORDER BY length(value) DESC")
    assert kept == [(one,), (other,)], "both as received: variants are for matching alone"


@pytest.mark.requirement("F2")
async def test_a_landline_of_brazil_is_nobody_elses_mobile(shop: Pool) -> None:
    await told(
        shop,
        wire.message("wamid.1", 1, wire.text("Oi"), phone="551135500101"),
        wire.message("wamid.2", 2, wire.text("Oi"), phone="5511935500101"),
    )
    assert len(await rows(shop, CONVERSATIONS)) == 2


@pytest.mark.requirement("F7", "F9")
async def test_the_address_book_names_before_the_profile_and_after_the_team(shop: Pool) -> None:
    ana: dict[str, Any] = {"bsuid": "BR.1001", "phone": "5511985500111"}
    await told(shop, wire.message("wamid.1", 1, wire.text("Oi"), name="Ana 🌵", **ana))
    assert await rows(shop, NAMES) == [("Ana 🌵",)]
    await told(shop, wire.entry(2, name="Ana jardim", phone=ana["phone"]))
    assert await rows(shop, NAMES) == [("Ana jardim",)]
    await told(shop, wire.message("wamid.2", 3, wire.text("Oi"), name="Ana 🌻", **ana))
    assert await rows(shop, NAMES) == [("Ana jardim",)]
    ((contact_id, account_id),) = await rows(shop, "SELECT k.id, account_id FROM contacts k, contact_scopes")
    async with transaction(shop) as conn:
        team = await people.add_user(conn, account_id, name="Inês", email="ines@example.com", role=Role.OWNER)
        await actions.rename_contact(conn, team, contact_id, "Ana das orquídeas")
    await told(
        shop,
        wire.entry(5, name="Ana jardim 2", phone=ana["phone"]),
        wire.message("wamid.3", 6, wire.text("Oi"), name="Ana 🌼", **ana),
    )
    assert await rows(shop, NAMES) == [("Ana das orquídeas",)]
    async with transaction(shop) as conn:
        await actions.rename_contact(conn, team, contact_id, "")
    assert await rows(shop, NAMES) == [("Ana jardim 2",)]


@pytest.mark.requirement("F8")
async def test_leaving_the_address_book_deletes_nothing_and_no_older_entry_undoes_it(shop: Pool) -> None:
    ana: dict[str, Any] = {"bsuid": "BR.1001", "phone": "5511985500111"}
    await told(
        shop,
        wire.message("wamid.1", 1, wire.text("Oi"), name="Ana 🌵", **ana),
        wire.entry(2, name="Ana jardim", phone=ana["phone"]),
        wire.entry(4, phone=ana["phone"]),
        wire.entry(3, name="Ana velha", phone=ana["phone"]),
    )
    assert await rows(shop, NAMES) == [("Ana 🌵",)]
    assert await rows(shop, CONVERSATIONS) == [(SHOP.phone_number_id, ["wamid.1"])]
    await told(shop, wire.entry(5, name="Ana de novo", phone=ana["phone"]))
    assert await rows(shop, NAMES) == [("Ana de novo",)]


@pytest.mark.requirement("F1", "F4")
async def test_a_recycled_number_joins_nobody(shop: Pool) -> None:
    before: dict[str, Any] = {"bsuid": "PT.1", "phone": "351910559122"}
    after: dict[str, Any] = {"bsuid": "PT.2", "phone": "351910559122"}
    await told(
        shop,
        wire.message("wamid.1", 1, wire.text("Oi"), **before),
        wire.message("wamid.2", 9, wire.text("Sou outro"), **after),
        wire.message("wamid.3", 4, wire.text("de quem a tinha"), phone="351910559122"),
        wire.message("wamid.4", 12, wire.text("de quem a tem"), phone="351910559122"),
    )
    assert [wamids for _, wamids in await rows(shop, CONVERSATIONS)] == [["wamid.1", "wamid.3"], ["wamid.2", "wamid.4"]]


@pytest.mark.requirement("F5")
async def test_a_user_id_update_joins_the_phone_it_names_with_the_new_id(shop: Pool) -> None:
    update = wire.rotated("PT.unknown", "PT.9", 2)
    update["value"]["user_id_update"][0]["wa_id"] = "351910559122"
    await told(
        shop,
        wire.message("wamid.1", 1, wire.text("Oi"), phone="351910559122"),
        update,
        wire.message("wamid.2", 3, wire.text("Sem número agora"), bsuid="PT.9"),
    )
    assert [wamids for _, wamids in await rows(shop, CONVERSATIONS)] == [["wamid.1", "wamid.2"]]


@pytest.mark.requirement("D1", "D5", "F4")
async def test_two_own_numbers_write_to_each_other_under_one_wamid(shop: Pool) -> None:
    await told(
        shop,
        wire.echo("wamid.1", 1, wire.text("Manda três vasos"), phone=BRANCH.display),
        wire.message("wamid.1", 1, wire.text("Manda três vasos"), phone=SHOP.display, number=BRANCH),
    )
    query = """SELECT i.phone_number_id, m.wamid, m.peer, m.direction::text
                 FROM messages m JOIN inboxes i ON i.id = m.inbox_id ORDER BY 1"""
    assert await rows(shop, query) == [
        (SHOP.phone_number_id, "wamid.1", BRANCH.display, "outbound"),
        (BRANCH.phone_number_id, "wamid.1", SHOP.display, "inbound"),
    ]


@pytest.mark.requirement("F1")
async def test_one_person_at_two_accounts_is_two_contacts(shop: Pool) -> None:
    async with transaction(shop) as conn:
        await intake.connect(conn, ELSEWHERE, account="Noutro lado")
    ana: dict[str, Any] = {"bsuid": "BR.1001", "phone": "5511985500111"}
    for number in (SHOP, BRANCH, ELSEWHERE):
        await told(shop, wire.message("wamid.1", 1, wire.text("Oi"), number=number, **ana))
    query = """SELECT s.account_id, count(DISTINCT c.id), count(DISTINCT k.id)
                 FROM contacts k JOIN contact_scopes s ON s.id = k.scope_id JOIN conversations c ON c.contact_id = k.id
                GROUP BY 1 ORDER BY 1"""
    assert [row[1:] for row in await rows(shop, query)] == [(2, 1), (1, 1)]


@pytest.mark.requirement("F5")
async def test_who_had_a_phone_is_asked_once_nobody_else_can_tell_of_it(
    shop: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one waits to make whoever had it before it was passed on, another learns that it was so earlier."""
    phone, others = "351910559122", "351910559133"
    await told(shop, wire.moved("wamid.m", others, phone, 21))
    own_people = locks.own_people

    async def overtaken(conn: Connection, scope_id: int) -> None:
        monkeypatch.setattr(locks, "own_people", own_people)
        await told(
            shop,
            wire.moved("wamid.n", others, phone, 10),
            wire.message("wamid.1", 3, wire.text("Oi"), phone=phone),
        )
        await own_people(conn, scope_id)

    monkeypatch.setattr(locks, "own_people", overtaken)
    await told(shop, wire.message("wamid.2", 5, wire.text("Oi?"), phone=phone))
    former = await rows(shop, "SELECT value FROM identities WHERE kind = 'former_phone'")
    assert former == [(f"{phone}@{wire.EPOCH + 10}",)]


@pytest.mark.requirement("C3", "F4")
async def test_who_turns_out_to_be_somebody_else_while_they_write_is_written_to_as_that(
    shop: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at who had the phone and the conversation that is made with them, their user id is learned."""
    phone = "351910559122"
    await told(
        shop,
        wire.moved("wamid.m", "351910559133", phone, 10),
        wire.message("wamid.1", 3, wire.text("Oi"), phone=phone),
    )
    load_closure = evidence.load_closure

    async def overtaken(*args: Any) -> evidence.Closure:
        monkeypatch.setattr(evidence, "load_closure", load_closure)
        closure = await load_closure(*args)
        await told(shop, wire.message("wamid.2", 2, wire.text("Oi"), bsuid="PT.1", phone=phone))
        return closure

    monkeypatch.setattr(evidence, "load_closure", overtaken)
    await told(shop, wire.message("wamid.3", 4, wire.text("Oi"), phone=phone, number=BRANCH))
    assert await rows(shop, "SELECT error FROM quarantine") == []
    owner = """SELECT i.value FROM messages m JOIN conversations c ON c.id = m.conversation_id
                 JOIN identities i ON i.contact_id = c.contact_id WHERE m.wamid = 'wamid.3'"""
    assert await rows(shop, owner) == [("PT.1",)]
