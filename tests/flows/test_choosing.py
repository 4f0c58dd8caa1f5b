"""`coexist switch` and `coexist private`, as an operator types them."""

from __future__ import annotations

import pytest

from coexist.base.database import Pool
from coexist.intake import purging
from tests.support.business import PHONE, deliver, inbound, open_business
from tests.support.command_line import Coexist
from tests.support.intake import KEYRING

ACCOUNT = ("--account", "Ótica Duarte")


@pytest.mark.requirement("B11")
async def test_switches_are_shown_and_thrown(coexist: Coexist, pool: Pool) -> None:
    await open_business(pool)
    said = (await coexist("switch", "off", "history", *ACCOUNT, "--inbox", "1")).out
    assert "history is off" in said
    shown = (await coexist("switch", "show", *ACCOUNT, "--inbox", "1", COEXIST_SYNC_MEDIA="no")).out
    assert "Switched off for this number by" in shown
    assert "COEXIST_SYNC_MEDIA" in shown
    said = (await coexist("switch", "on", "history", *ACCOUNT, "--inbox", "1", COEXIST_SYNC_HISTORY="no")).out
    assert "Still nothing is taken in" in said
    assert "coexist reapply-import --inbox 1" in said
    assert "90 days" in (await coexist("switch", "keep-open", "90", *ACCOUNT)).out
    ended = await coexist("switch", "off", "sound", *ACCOUNT)
    assert ended.code == 2
    assert "history, contacts, media" in ended.err


@pytest.mark.requirement("G11")
async def test_a_number_is_made_private_and_removed(coexist: Coexist, pool: Pool) -> None:
    await open_business(pool)
    await deliver(pool, inbound("wamid.A", "segredo"))
    said = (await coexist("private", "add", *ACCOUNT, typed="+351 910 559 111\n")).out
    assert "Here of it: 1 message in 1 conversation, " in said
    assert "+351 910 559 111   added" in (await coexist("private", "list", *ACCOUNT)).out
    assert (await coexist("private", "add", *ACCOUNT, typed=PHONE)).code == 1
    ended = await coexist("private", "purge", *ACCOUNT, "--number-file", "-", typed=PHONE)
    assert ended.code == 0, ended.err
    while await purging.step(pool, KEYRING):
        pass
    assert "1 message and 2 parts" in (await coexist("private", "list", *ACCOUNT)).out
    assert (await coexist("private", "scrub")).code == 0
    assert "off the list" in (await coexist("private", "remove", *ACCOUNT, typed=PHONE)).out
    assert "No number is private" in (await coexist("private", "list", *ACCOUNT)).out
