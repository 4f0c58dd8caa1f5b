"""Pages stand whatever Meta writes where it documents something else: one strange status closes no conversation."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import pytest

from coexist.base.database import transaction
from tests.support.business import inbound, status
from tests.web.conftest import Site

TALK: Final = "/conversations/1"
PAGES: Final = (TALK, "/inboxes/1/doctor", "/inboxes/1/doctor/bundle", "/reports")


async def sent(site: Site) -> None:
    """A conversation with a message of ours that Meta has taken."""
    await site.deliver(inbound("wamid.1", "Olá"))
    assert (await site.post(f"{TALK}/messages", text="Bom dia", our_ref=str(UUID(int=1)))).status == 303
    async with transaction(site.pool) as conn:
        await conn.execute("UPDATE messages SET wamid = 'wamid.out', status = NULL WHERE origin = 'api'")
        await conn.execute("UPDATE outbox SET state = 'accepted'")


@pytest.mark.requirement("C6")
@pytest.mark.parametrize(
    "errors",
    [["rejected"], [None], [[1]], [{"code": 10**30}], [{"code": "abc"}], [{"code": {"a": 1}}], [{"code": "131026"}]],
    ids=str,
)
async def test_a_status_with_errors_of_another_shape(site: Site, errors: list[Any]) -> None:
    await sent(site)
    await site.deliver(status("wamid.out", "failed", errors=errors))
    shown = {page: await site.get(page) for page in PAGES}
    assert {page: answer[0] for page, answer in shown.items()} == dict.fromkeys(PAGES, 200)
    if errors == [{"code": "131026"}]:
        assert "131026" in shown["/inboxes/1/doctor"][1]
    if errors == ["rejected"]:
        assert "rejected" in shown[TALK][1]


@pytest.mark.requirement("C6")
@pytest.mark.parametrize("pricing", [["CBP"], "free", 7], ids=str)
async def test_a_status_with_pricing_of_another_shape(site: Site, pricing: Any) -> None:
    await sent(site)
    told = status("wamid.out", "delivered")
    told["value"]["statuses"][0]["pricing"] = pricing
    await site.deliver(told)
    assert [(await site.get(page))[0] for page in PAGES] == [200] * len(PAGES)


@pytest.mark.requirement("C6")
@pytest.mark.parametrize(
    "latitude", [10**400, "9" * 5000, True, [], "nan"], ids=["huge", "long", "bool", "list", "nan"]
)
async def test_a_place_of_another_shape(site: Site, latitude: Any) -> None:
    told = inbound("wamid.1", "")
    (message,) = told["value"]["messages"]
    message |= {"type": "location", "location": {"latitude": latitude, "longitude": 1, "name": "Loja"}}
    await site.deliver(told)
    status_code, text = await site.get(TALK)
    assert (status_code, "Loja" in text) == (200, True)
