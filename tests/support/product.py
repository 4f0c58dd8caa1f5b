"""The whole product as processes beside the stand-in for Meta."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from simulator import Config, create_app
from simulator.simulation import Simulation
from tests.support.ports import free_port
from tests.support.serving import address_of, bound, serving
from tests.support.waiting import until

APP_SECRET, VERIFY_TOKEN, APP_ID = "an-app-secret", "a-verify-token", "1900100200300"
ACCOUNT: Final = "Jardim Verde"
IDLE_S: Final = 300
"""How long the phone keeps an idle connection: longer than any test leaves one alone, so none is closed in its face."""


@dataclass
class Phone:
    """The stand-in: what it is told to do, and what the phone shows."""

    address: str
    session: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def do(self, what: str, **asked: Any) -> dict[str, Any]:
        """``POST /control/{what}``."""
        async with self.session.post(f"{self.address}/control/{what}", json=asked) as response:
            assert response.status == 200, await response.text()
            return dict(await response.json() or {})

    async def messages(self, chat: str | None = None) -> list[dict[str, Any]]:
        """Every message on the phone, or those of one chat."""
        async with self.session.get(f"{self.address}/control/truth") as response:
            chats = (await response.json())["chats"]
        return [message for one in chats if chat in (None, one["chat"]) for message in one["messages"]]


@dataclass
class Product:
    """``coexist serve`` with its settings."""

    environment: dict[str, str]
    port: int
    process: asyncio.subprocess.Process | None = None

    async def run(self, *arguments: str, typed: str = "") -> str:
        """Run a command to its end and return what it said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "coexist", *arguments, env=self.environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(typed.encode())
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def start(self) -> None:
        """Start ``serve`` and wait until it answers."""
        process = self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "coexist", "serve", env=self.environment
        )

        async def is_there() -> bool:
            assert process.returncode is None, f"serve ended at once with {process.returncode}; it said why above"
            return await answers(self.port)

        await until(is_there, "serve answers")

    async def stop(self) -> None:
        """Stop it as an operator does."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.wait()

    def kill_worker(self) -> None:
        """``kill -9`` the worker; ``serve`` starts another."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if b"work" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
        assert len(workers) == 1
        os.kill(workers[0], signal.SIGKILL)


@asynccontextmanager
async def beside_the_phone(
    database_url: str, folder: Path, *, settings: Mapping[str, str] | None = None, **config: Any
) -> AsyncIterator[tuple[Product, Phone]]:
    """The product, running and connected to nothing yet, and the phone that it can be connected to."""
    product_port = free_port()
    async with phone_for(product_port, **config) as (_, phone):
        variables = environment(database_url, folder, product_port, phone.port) | dict(settings or {})
        product = Product(variables, product_port)
        try:
            await product.start()
            yield product, phone
        finally:
            await product.stop()


@asynccontextmanager
async def phone_for(product_port: int, **config: Any) -> AsyncIterator[tuple[Simulation, Phone]]:
    """The stand-in, telling the product at ``product_port``, inside the block."""
    simulated = create_app(
        Config(
            app_id=APP_ID,
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            webhook_url=f"http://127.0.0.1:{product_port}/webhook",
            **config,
        )
    )
    listening = bound()
    async with serving(simulated, listening, timeout_keep_alive=IDLE_S), aiohttp.ClientSession() as session:
        yield simulated.state.sim, Phone(address_of(listening), session)


async def connect(product: Product, phone: Phone, *more: str, share: bool = True) -> str:
    """The owner signs up on the phone; somebody connects the number with its token."""
    told = await phone.do("onboard", share=share)
    return await product.run(
        "connect", "--account", ACCOUNT, "--waba-id", told["waba_id"], "--phone-number-id", told["phone_number_id"],
        "--display-number", told["display_phone_number"], "--portfolio-id", told["business_id"], *more,
        typed=told["token"],
    )  # fmt: skip


def environment(database_url: str, folder: Path, port: int, phone_port: int) -> dict[str, str]:
    """The variables of a product at ``port`` whose Graph is at ``phone_port``; the rest is inherited."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COEXIST_")}
    return inherited | {
        "COEXIST_DATABASE_URL": database_url,
        "COEXIST_DATA_DIR": str(folder),
        "COEXIST_PORT": str(port),
        "COEXIST_BASE_URL": f"http://127.0.0.1:{port}",
        "COEXIST_APP_ID": APP_ID,
        "COEXIST_APP_SECRET": APP_SECRET,
        "COEXIST_VERIFY_TOKEN": VERIFY_TOKEN,
        "COEXIST_GRAPH_URL": f"http://127.0.0.1:{phone_port}",
        "COEXIST_SIGNUP_CONFIG_ID": "1900100200301",
        "COEXIST_SIGNUP_SDK_URL": f"http://127.0.0.1:{phone_port}/sdk.js",
        "COEXIST_SIGNUP_DIALOG_URL": f"http://127.0.0.1:{phone_port}",
        "COEXIST_LOG_LEVEL": "warning",
    }


async def answers(port: int) -> bool:
    """Whether anybody takes connections at a port of 127.0.0.1."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()
        return True
    return False
