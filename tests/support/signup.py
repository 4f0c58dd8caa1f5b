"""Signing a number up: somebody at the page, and Meta as scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.coexistence import signup_rules, signups
from coexist.coexistence.signup_model import Party, Signup
from coexist.meta.graph import Graph
from coexist.people import actions as people
from coexist.people.model import Member, Role
from tests.support.ready import Ready
from tests.support.scripted_graph import ScriptedGraph, scripted_graph

KEYRING = Keyring([b"k" * 32])
APP, WABA, NUMBER, PORTFOLIO = "1900100200300", "701122334455667", "555100020003000", "880011223344556"
SETTINGS = Settings(app_id=APP, app_secrets=(b"secret",), verify_token="a-verify-token", base_url="https://in.example")
CODE, TOKEN = "AQcode-of-this-signup", "EAAtoken-of-this-signup"
FINISHED = '{"type":"WA_EMBEDDED_SIGNUP","event":"FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING","data":{"waba_id":"%s"}}'


@dataclass
class Desk:
    """Somebody at the page: one account, Meta as scripted."""

    pool: Pool
    graph: Graph
    meta: ScriptedGraph
    member: Member
    party: Party
    settings: Settings
    ready: Ready

    async def take_code(self, signup_id: UUID, code: str = CODE, **more: Any) -> None:
        tools = (self.pool, self.graph, KEYRING, self.settings)
        await signups.take_code(*tools, self.party, signup_id, code, **more)

    async def advance(self, signup_id: UUID, chosen_id: str | None = None) -> Signup:
        tools = (self.pool, self.graph, KEYRING, self.settings)
        return await signups.advance(*tools, self.party, signup_id, chosen_id=chosen_id)

    async def sign_up(self, *, renews_id: int | None = None) -> Signup:
        """The whole way through Meta's window."""
        signup_id = uuid4()
        await self.take_code(signup_id, renews_id=renews_id)
        return await self.advance(signup_id)

    async def ask(self, query: str) -> Any:
        """The rows of a query."""
        async with self.pool.connection() as conn:
            return await (await conn.execute(query)).fetchall()

    def onboarded(self, at: datetime, **other: Any) -> None:
        """Meta's list of numbers from now on."""
        told = {
            "id": NUMBER, "display_phone_number": "+351 21 055 9000", "verified_name": "Ótica", "is_on_biz_app": True,
            "platform_type": "CLOUD_API", "last_onboarded_time": at.strftime("%Y-%m-%dT%H:%M:%S+0000"), **other,
        }  # fmt: skip
        self.meta.files["phone_numbers"] = ({"data": [told]}, b"")
        self.meta.files[NUMBER] = (told, b"")

    def granted(self, *waba_ids: str, **other: Any) -> None:
        """What debug_token says from now on."""
        scopes = [signup_rules.MANAGING, signup_rules.MESSAGING]
        granular = [{"scope": scope, "target_ids": list(waba_ids)} for scope in scopes]
        data = {"is_valid": True, "app_id": APP, "scopes": scopes, "granular_scopes": granular, **other}
        self.meta.files["debug_token"] = ({"data": data}, b"")

    async def by_token(self, **more: Any) -> Signup:
        """The whole way with a token."""
        signup_id = uuid4()
        async with transaction(self.pool) as conn:
            await signups.take_token(conn, KEYRING, self.settings, self.party, signup_id, TOKEN, **more)
        return await self.advance(signup_id)

    async def wanted(self) -> int:
        """How many syncs were asked for, over all onboardings."""
        return int((await self.ask("SELECT count(wanted_at) FROM syncs"))[0][0])

    @property
    def calls(self) -> list[str]:
        """What Meta was asked, in order: methods and paths."""
        return [asked.what.replace("/v25.0", "") for asked in self.meta.asked]


@asynccontextmanager
async def open_desk(pool: Pool) -> AsyncIterator[Desk]:
    """An account with its owner, before a Meta where one number of the phone app waits to be connected."""
    async with transaction(pool) as conn:
        account = await people.create_account(conn, "Ótica Duarte")
        member = await people.add_user(conn, account.id, name="Inês", email="ines@example.com", role=Role.OWNER)
    async with scripted_graph() as (scripted, graph):
        party = Party(account.id, "Inês", user_id=member.user_id)
        settings = replace(SETTINGS, base_url=scripted.address)
        made = Desk(pool, graph, scripted, member, party, settings, Ready(pool, scripted, APP, WABA))
        scripted.files["access_token"] = ({"access_token": TOKEN, "token_type": "bearer"}, b"")
        owner = {"owner_business_info": {"id": PORTFOLIO}, "account_review_status": "APPROVED"}
        scripted.files[WABA] = (owner, b"")
        made.granted(WABA)
        made.onboarded(clock.now())
        await made.ready.begin()
        yield made
