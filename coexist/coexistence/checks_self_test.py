"""The self-test: a signed, harmless delivery to our own public address, as Meta would send one, followed to its end.

Its one field is named after a nonce that nobody reads: journaled and applied like any delivery, it changes nothing.
That our own network reaches the address proves the address and the signature. It does not prove that Meta gets there:
only what Meta sent does.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from typing import Final

import aiohttp
import msgspec

from coexist.base import clock
from coexist.base.config import Settings
from coexist.base.database import Pool, transaction
from coexist.coexistence import checks_store as store
from coexist.coexistence.checks_model import Sent
from coexist.meta.graph import Graph

WEBHOOK_PATH: Final = "/webhook"
PREFIX: Final = "coexist_self_test_"
NONCE_BYTES: Final = 12
ANSWER_S: Final = 10.0
APPLY_S: Final = 15.0
"""How long a self-test may take from the answer to its application: a worker that has just been started needs some."""
POLL_S: Final = 0.1


def address_of(settings: Settings) -> str:
    """Return where Meta shall deliver."""
    return settings.base_url + WEBHOOK_PATH


def nonces(fields: Iterable[str]) -> list[str]:
    """Return the nonces among the names of fields that no reader knows."""
    return [field.removeprefix(PREFIX) for field in fields if field.startswith(PREFIX)]


def body_of(nonce: str) -> bytes:
    """Return the delivery that carries a nonce and says nothing."""
    change = {"field": PREFIX + nonce, "value": {"messaging_product": "whatsapp"}}
    entry = {"id": "0", "changes": [change]}
    return msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})


async def run(pool: Pool, graph: Graph, settings: Settings) -> Sent:
    """Send a self-test to our own webhook and wait until it is applied, some 25 seconds at most."""
    nonce, at, address = secrets.token_hex(NONCE_BYTES), clock.now(), address_of(settings)
    async with transaction(pool) as conn:
        await store.begin_self_test(conn, nonce, at)
    body = body_of(nonce)
    signature = hmac.new(settings.app_secrets[0], body, hashlib.sha256).hexdigest() if settings.app_secrets else ""
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with graph.session.post(
            address, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            http_status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Sent(address, at, None, _in_words(error))
    if http_status != 200:
        return Sent(address, at, http_status)
    began = time.monotonic()
    while True:
        async with transaction(pool) as conn:
            is_applied = await store.is_applied(conn, nonce)
        waited_s = time.monotonic() - began
        if is_applied or waited_s > APPLY_S:
            return Sent(address, at, http_status, is_applied=is_applied, waited_s=waited_s)
        await asyncio.sleep(POLL_S)


def _in_words(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known (DNS)"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "its TLS certificate is not valid"
        case aiohttp.ClientConnectorError():
            return "nothing answers there"
        case TimeoutError():
            return f"no answer within {ANSWER_S:.0f} seconds"
        case _:
            return f"the connection broke ({type(error).__name__})"
