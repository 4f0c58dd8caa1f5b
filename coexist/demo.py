"""``coexist demo``: the product beside the stand-in for Meta, connected, with nothing to set up.

Everything is real but Meta: the same ``serve``, database, webhooks and Graph calls over HTTP. The stand-in is a
program of its own; we speak to it as anybody would.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp

from coexist import processes
from coexist.base import clock, crypto, database, log
from coexist.base.config import Settings
from coexist.base.database import Pool
from coexist.base.errors import Conflict, Invalid, Unavailable
from coexist.coexistence import checks_store, signups
from coexist.coexistence.signup_model import Party, State
from coexist.coexistence.signup_words import ending_of
from coexist.meta.graph import graph_of
from coexist.people import actions as people
from coexist.people import store as people_store
from coexist.people.model import Member
from coexist.worker import database_url_of

APP_ID: Final = "1900100200300"
CONFIG_ID: Final = "1900100200301"
ACCOUNT: Final = "Jardim Verde"
OWNER: Final = ("Ana Nunes", "ana@jardimverde.example")
TIME_ZONE: Final = "America/Sao_Paulo"
LINK_USES_COUNT: Final = 1000
"""The demo's page signs in whoever opens it on this machine, however often."""
START_WAIT_S: Final = 60.0
POLL_S: Final = 0.1

logger = log.get(__name__)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demo lives."""

    folder: Path
    port: int
    phone_port: int
    app_secret: str
    verify_token: str

    @property
    def inbox_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def phone_url(self) -> str:
        return f"http://127.0.0.1:{self.phone_port}"

    @property
    def clock_file(self) -> Path:
        """By how much both programs are ahead: the phone's settings let time pass."""
        return self.folder / "ahead"

    def environment(self) -> dict[str, str]:
        """The settings of the demo's product, as its processes read them."""
        return {
            "COEXIST_DATA_DIR": str(self.folder),
            "COEXIST_BASE_URL": self.inbox_url,
            "COEXIST_HOST": "127.0.0.1",
            "COEXIST_PORT": str(self.port),
            "COEXIST_APP_ID": APP_ID,
            "COEXIST_APP_SECRET": self.app_secret,
            "COEXIST_VERIFY_TOKEN": self.verify_token,
            "COEXIST_GRAPH_URL": self.phone_url,
            "COEXIST_SIGNUP_CONFIG_ID": CONFIG_ID,
            "COEXIST_SIGNUP_SDK_URL": f"{self.phone_url}/sdk.js",
            "COEXIST_SIGNUP_DIALOG_URL": self.phone_url,
            "COEXIST_FRAME_ANCESTORS": self.phone_url,
            "COEXIST_CLOCK_FILE": str(self.clock_file),
            "COEXIST_LOG_LEVEL": "warning",
        }


def open_demo(data_dir: Path, *, port: int, phone_port: int, reset: bool) -> Demo:
    """Return the demo kept in ``data_dir``/demo, new when there is none or ``reset`` throws the old one away."""
    folder = data_dir / "demo"
    if reset:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "demo.json"
    if not kept.exists():
        kept.write_text(json.dumps({"app_secret": secrets.token_hex(16), "verify_token": secrets.token_urlsafe(16)}))
        kept.chmod(0o600)
    known = json.loads(kept.read_text())
    return Demo(folder, port, phone_port, known["app_secret"], known["verify_token"])


async def run(demo: Demo, settings: Settings, say: Say, *, is_empty: bool = False) -> None:
    """Run both programs until SIGTERM or SIGINT; ``settings`` are those of ``demo.environment()``.

    With ``is_empty`` nothing is connected beforehand; Conflict when something is.
    """
    say("Starting the database, the inbox and the phone …")
    async with (
        database_url_of(settings) as url,
        database.open_pool(url, application="coexist demo", max_size=2) as pool,
        aiohttp.ClientSession() as session,
    ):
        owner = await _owner(pool)
        if is_empty and await _is_connected(pool):
            raise Conflict("The number of this demo is connected.", next_step="Add --reset to begin without it.")
        async with database.transaction(pool) as conn:
            link = await people.create_sign_in_link(conn, owner.user_id, uses=LINK_USES_COUNT)
        stand_in = (
            f"--port={demo.phone_port}",
            f"--app-id={APP_ID}",
            f"--app-secret={demo.app_secret}",
            f"--verify-token={demo.verify_token}",
            f"--webhook-url={demo.inbox_url}/webhook",
            f"--inbox-url={demo.inbox_url}/sign-in/link/{link}",
            f"--state={demo.folder / 'phone.json'}",
            f"--clock-file={demo.clock_file}",
        )
        async with _running("coexist", "serve"):
            await _until_answering(session, demo.inbox_url + "/readyz")
            async with _running("simulator", *stand_in):  # after the inbox, which its page shows in a frame
                await _until_answering(session, demo.phone_url + "/control/state")
                await _until_working(pool)
                if is_empty:
                    say("Nothing is connected: sign the number up in the inbox, under Connect WhatsApp.")
                elif await _connect(demo, settings, pool, session, owner):
                    say("The number is connected; its contacts and 180 days of chats are coming in.")
                say(f"\n  Open  {demo.phone_url}/\n")
                say("The phone is on the left, the team's inbox on the right. Ctrl-C stops both and")
                say("keeps what you did; `bin/demo --reset` starts over.")
                await processes.until_told_to_stop()
                say("\nStopping …")


@asynccontextmanager
async def _running(module: str, *arguments: str) -> AsyncIterator[None]:
    task = asyncio.create_task(processes.keep_running(module, *arguments))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _owner(pool: Pool) -> Member:
    """The invented owner, made at the first start. Nobody knows her password: the page signs in by link."""
    async with database.transaction(pool) as conn:
        if await people_store.has_owner(conn):
            return next(iter(await people_store.members(conn)))
        name, email = OWNER
        return await people.create_owner(
            conn,
            account_name=ACCOUNT,
            name=name,
            email=email,
            password=secrets.token_urlsafe(24),
            time_zone=TIME_ZONE,
        )


async def _until_answering(session: aiohttp.ClientSession, url: str) -> None:
    deadline = asyncio.get_running_loop().time() + START_WAIT_S
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
                if response.status == 200:
                    return
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(f"{url} did not answer within {START_WAIT_S:.0f} seconds.")
        await asyncio.sleep(POLL_S)


async def _until_working(pool: Pool) -> None:
    """Wait for the worker's first sign of life: without one, no sync would be asked for yet."""
    deadline = asyncio.get_running_loop().time() + START_WAIT_S
    while asyncio.get_running_loop().time() < deadline:
        async with database.transaction(pool) as conn:
            if await checks_store.beats(conn):
                return
        await asyncio.sleep(POLL_S)
    raise Unavailable(f"The worker did not start within {START_WAIT_S:.0f} seconds.")


async def _connect(demo: Demo, settings: Settings, pool: Pool, session: aiohttp.ClientSession, owner: Member) -> bool:
    """Sign the phone's number up, once, as the owner does in the page; whether that was done now."""
    if await _is_connected(pool):
        return False
    told = await _control(session, demo, "onboard")
    party = Party(owner.account_id, owner.name, user_id=owner.user_id)
    tools = (pool, graph_of(settings, session), crypto.open_keyring(settings), settings)
    signup_id = uuid4()
    await signups.take_code(*tools, party, signup_id, told["code"])
    signup = await signups.advance(*tools, party, signup_id)
    if signup.state != State.CONNECTED:
        raise Unavailable(f"The phone could not be connected: {ending_of(signup, clock.now()).sentence}")
    return True


async def _is_connected(pool: Pool) -> bool:
    async with database.transaction(pool) as conn:
        return await (await conn.execute("SELECT 1 FROM inboxes LIMIT 1")).fetchone() is not None


async def _control(session: aiohttp.ClientSession, demo: Demo, what: str) -> dict[str, Any]:
    async with session.post(f"{demo.phone_url}/control/{what}", json={}) as response:
        response.raise_for_status()
        return dict(await response.json())


def check_ports(*ports: int) -> None:
    """Refuse ports that something else listens on, by name, before anything is started."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise Invalid(
                    f"Port {port} is in use.",
                    next_step="Stop what uses it (another demo?), or choose others with --port and --phone-port.",
                ) from error


def print_line(line: str) -> None:
    """Say something to who started the demo."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
