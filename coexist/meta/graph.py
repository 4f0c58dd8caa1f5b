"""What we ask of Meta's Graph API, one function a call (meta-protocol 1, 2, 3, 7 and 9).

The Graph first, then ids, then the token. Reading is repeated when that may help; what changes something is asked
once. Every function raises `GraphError`, `GraphNotSent` or `GraphUnclear` (see ``transport``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import IO, Any, Final
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
import msgspec

from coexist.base.errors import TooLarge, UpstreamFailed
from coexist.meta.answers import (
    AccessToken,
    AppSubscription,
    Created,
    Health,
    HealthAnswer,
    Media,
    MediaInfo,
    Page,
    PhoneNumber,
    SendAnswer,
    SentContact,
    SentMessage,
    SubscribedApp,
    Subscription,
    Success,
    SyncRequested,
    Template,
    TokenAnswer,
    TokenInfo,
    Waba,
)
from coexist.meta.contents import sha256_hex
from coexist.meta.transport import (
    ANSWER_LIMIT_BYTES,
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    UPLOAD_SECONDS,
    Graph,
    GraphError,
    GraphFailed,
    GraphNotSent,
    GraphUnclear,
    SecretRefused,
    T,
    call,
    get,
    graph_of,
    raise_if_refused,
)

__all__ = [
    "AccessToken",
    "AppSubscription",
    "DownloadRefused",
    "Graph",
    "GraphError",
    "GraphFailed",
    "GraphNotSent",
    "GraphUnclear",
    "Health",
    "MediaInfo",
    "PhoneNumber",
    "SecretRefused",
    "SentMessage",
    "SubscribedApp",
    "Template",
    "TokenInfo",
    "Waba",
    "app_subscriptions",
    "check_media_url",
    "create_template",
    "debug_token",
    "download",
    "exchange_code",
    "graph_of",
    "health",
    "mark_read",
    "media_info",
    "message_templates",
    "phone_number",
    "phone_numbers",
    "request_sync",
    "send_message",
    "subscribe",
    "subscriptions",
    "unsubscribe",
    "upload_media",
    "waba",
]

DOWNLOAD_CHUNK_BYTES: Final = 64 * 1024
REDIRECTS_COUNT: Final = 3
DEAD_TOKEN_CODE: Final = 190
PAGE_SIZE_COUNT: Final = 100
PAGES_COUNT: Final = 200
"""More pages than this of one list means that Meta's cursor runs in a circle."""

PHONE_NUMBER_FIELDS: Final = (
    "id", "display_phone_number", "verified_name", "is_on_biz_app", "platform_type", "quality_rating",
    "code_verification_status", "status", "throughput", "last_onboarded_time", "webhook_configuration",
)  # fmt: skip
WABA_FIELDS: Final = ("id", "name", "account_review_status", "owner_business_info")
TEMPLATE_FIELDS: Final = (
    "id", "name", "status", "category", "language", "components", "quality_score", "rejected_reason",
    "parameter_format",
)  # fmt: skip


# --- sending (7) ---------------------------------------------------------------------------------------------------


async def send_message(graph: Graph, phone_number_id: str, token: str, payload: Mapping[str, Any]) -> SentMessage:
    """``POST /{phone_number_id}/messages``, once: there is no idempotency key (7.1, 7.4).

    `payload` is the whole body. Acceptance is not delivery: statuses tell the rest.
    """
    sent = await call(graph, "POST", f"{_id(phone_number_id)}/messages", token, SendAnswer, json=payload)
    if not sent.messages or not sent.messages[0].id:
        raise GraphUnclear("Meta accepted the message without naming it.")
    contact = sent.contacts[0] if sent.contacts else SentContact()
    return SentMessage(sent.messages[0].id, contact.wa_id, contact.user_id, sent.messages[0].message_status)


async def mark_read(graph: Graph, phone_number_id: str, token: str, wamid: str, *, typing: bool = False) -> None:
    """Marks a message, and all before it in the chat, as read; `typing` shows "typing…" for 25 s (7.2)."""
    body: dict[str, Any] = {"messaging_product": "whatsapp", "status": "read", "message_id": wamid}
    if typing:
        body["typing_indicator"] = {"type": "text"}
    await _change(graph, "POST", f"{_id(phone_number_id)}/messages", token, body)


# --- the one-time sync (3) -----------------------------------------------------------------------------------------


async def request_sync(graph: Graph, phone_number_id: str, token: str, sync_type: str) -> str | None:
    """``POST /{phone_number_id}/smb_app_data``; `sync_type` is ``smb_app_state_sync`` or ``history``.

    Each can be asked for once since onboarding: never call it twice (2593107), nor after 24 h (2593108). Returns the
    request id that Meta's support asks for. An acceptance promises nothing: the webhooks do.
    """
    body = {"messaging_product": "whatsapp", "sync_type": sync_type}
    requested = await call(graph, "POST", f"{_id(phone_number_id)}/smb_app_data", token, SyncRequested, json=body)
    return requested.request_id


# --- files (7.5) ---------------------------------------------------------------------------------------------------


class DownloadRefused(GraphFailed):
    """Meta's file store answered a download with a status alone."""

    def __init__(self, http_status: int) -> None:
        self.http_status = http_status
        super().__init__(f"Meta's file store answered {http_status}.")


async def media_info(graph: Graph, media_id: str, token: str, phone_number_id: str) -> MediaInfo:
    """``GET /{media_id}``, once: a fresh address for a file that a webhook named (7.5)."""
    params = {"phone_number_id": phone_number_id}
    media = await call(graph, "GET", _id(media_id), token, Media, params=params)
    size = str(media.file_size) if media.file_size is not None else ""
    return MediaInfo(media.url, media.mime_type, sha256_hex(media.sha256), int(size) if size.isdecimal() else None)


async def download(
    graph: Graph, url: str, token: str, *, allowed_hosts: Sequence[str], max_bytes: int
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file, in pieces of at most 64 KiB. The token goes to `allowed_hosts` and Graph's own host alone.

    The url comes from a webhook body: anything but https to such a host is refused, redirects too, unless Graph
    itself is an emulator without https. Raises TooLarge beyond `max_bytes`, DownloadRefused when the store says no
    (404: the address has expired), and GraphError when it says so in Graph's words.
    """
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        for _ in range(REDIRECTS_COUNT + 1):
            check_media_url(graph, url, allowed_hosts)
            async with graph.session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                if response.status != 200:
                    raise_if_refused(response, await response.content.read(ANSWER_LIMIT_BYTES))
                    raise DownloadRefused(response.status)
                async for piece in _limited(response, max_bytes):
                    yield piece
                return
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise GraphNotSent("Meta's file store cannot be reached.") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise GraphUnclear(f"The download broke off ({type(error).__name__}).") from error
    raise UpstreamFailed("Meta's file store sends us from one address to the next.")


async def _limited(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    too_large = TooLarge(f"At most {max_bytes / 1e6:,.1f} MB are taken in here, and this file is larger than that.")
    if response.content_length is not None and response.content_length > max_bytes:
        raise too_large
    received = 0
    async for piece in response.content.iter_chunked(DOWNLOAD_CHUNK_BYTES):
        received += len(piece)
        if received > max_bytes:
            raise too_large
        yield piece


def check_media_url(graph: Graph, url: str, allowed_hosts: Sequence[str]) -> None:
    """Raises UpstreamFailed unless the token may be sent to `url`. Hosts may carry a port, as in the setting."""
    address, ours = urlsplit(url), urlsplit(graph.base_url)
    is_ours = (address.scheme, address.netloc) == (ours.scheme, ours.netloc)
    is_listed = address.scheme == "https" and address.netloc.lower() in allowed_hosts
    is_emulated = ours.scheme == "http" and address.scheme == "http" and address.netloc.lower() in allowed_hosts
    if "@" in address.netloc or not (is_ours or is_listed or is_emulated):
        raise UpstreamFailed(
            f"The file is not on a host that may see the access token: {address.scheme}://{address.hostname}.",
            next_step="If that host is right, add it to COEXIST_MEDIA_HOSTS.",
        )


async def upload_media(
    graph: Graph,
    phone_number_id: str,
    token: str,
    file: bytes | IO[bytes] | AsyncIterable[bytes],
    *,
    mime_type: str,
    file_name: str,
) -> str:
    """``POST /{phone_number_id}/media``: the id to send the file with, good for 30 days on this number (7.5)."""
    form = aiohttp.FormData()
    form.add_field("messaging_product", "whatsapp")
    form.add_field("type", mime_type)
    form.add_field("file", file, filename=file_name, content_type=mime_type)
    path = f"{_id(phone_number_id)}/media"
    return (await call(graph, "POST", path, token, Created, form=form, answer_seconds=UPLOAD_SECONDS)).id


# --- numbers, subscriptions, templates (2.5, 9.1) ------------------------------------------------------------------


async def _all(graph: Graph, path: str, token: str, params: dict[str, str]) -> list[msgspec.Raw]:
    """Every item of a list, page by page, by cursor: the ready-made ``next`` address carries the token (1.1)."""
    items: list[msgspec.Raw] = []
    for _ in range(PAGES_COUNT):
        page = await get(graph, path, token, Page, params | {"limit": str(PAGE_SIZE_COUNT)})
        items += page.data
        if not page.paging.next or not page.paging.cursors.after:
            return items
        params["after"] = page.paging.cursors.after
    raise UpstreamFailed(f"Meta's list {path} has no end after {PAGES_COUNT} pages.")


async def waba(graph: Graph, waba_id: str, token: str) -> Waba:
    """One WhatsApp Business account: its owner, and whether Meta has reviewed it (2.5, step 6)."""
    return await get(graph, _id(waba_id), token, Waba, {"fields": ",".join(WABA_FIELDS)})


async def phone_numbers(graph: Graph, waba_id: str, token: str) -> list[PhoneNumber]:
    """Every number of a WABA; the coexistence one is picked by `PhoneNumber.is_coexistence` (2.5)."""
    params = {"fields": ",".join(PHONE_NUMBER_FIELDS)}
    items = await _all(graph, f"{_id(waba_id)}/phone_numbers", token, params)
    return [_decoded(item, PhoneNumber) for item in items]


async def phone_number(
    graph: Graph, phone_number_id: str, token: str, fields: Sequence[str] = PHONE_NUMBER_FIELDS
) -> PhoneNumber:
    """One number as it is now: the truth after an ambiguous account event (2.5, 5.7)."""
    return await get(graph, _id(phone_number_id), token, PhoneNumber, {"fields": ",".join(fields)})


async def health(graph: Graph, node_id: str, token: str) -> Health:
    """Whether a number, a WABA or a template may send, and what stands against it (1.6)."""
    told = await get(graph, _id(node_id), token, HealthAnswer, {"fields": "health_status"})
    return told.health_status


async def subscribe(
    graph: Graph, waba_id: str, token: str, *, override_callback_uri: str = "", verify_token: str = ""
) -> None:
    """``POST /{waba_id}/subscribed_apps``: webhooks of this WABA come to our app; may be repeated (2.5, 2.6)."""
    override = {"override_callback_uri": override_callback_uri, "verify_token": verify_token}
    await _change(graph, "POST", f"{_id(waba_id)}/subscribed_apps", token, override if override_callback_uri else {})


async def unsubscribe(graph: Graph, waba_id: str, token: str) -> None:
    """``DELETE /{waba_id}/subscribed_apps``: all that our side can do to disconnect (2.8)."""
    await _change(graph, "DELETE", f"{_id(waba_id)}/subscribed_apps", token, None)


async def subscriptions(graph: Graph, waba_id: str, token: str) -> list[SubscribedApp]:
    """``GET /{waba_id}/subscribed_apps`` (2.5, step 2)."""
    items = await _all(graph, f"{_id(waba_id)}/subscribed_apps", token, {})
    told = [_decoded(item, Subscription) for item in items]
    return [
        SubscribedApp(one.whatsapp_business_api_data.id, one.whatsapp_business_api_data.name, one.override_callback_uri)
        for one in told
    ]


async def app_subscriptions(graph: Graph, app_id: str, app_secret: str) -> list[AppSubscription]:
    """``GET /{app_id}/subscriptions``: the webhook's address and fields as the app's dashboard has them (1.1, 3)."""
    page = await _get_as_app(graph, f"{_id(app_id)}/subscriptions", app_id, app_secret, Page)
    return [_decoded(item, AppSubscription) for item in page.data]


async def message_templates(graph: Graph, waba_id: str, token: str) -> list[Template]:
    """Every template of a WABA (9.1). One that cannot be read is left out, and takes no other with it."""
    items = await _all(graph, f"{_id(waba_id)}/message_templates", token, {"fields": ",".join(TEMPLATE_FIELDS)})
    told = [template for item in items if (template := Template.of(item))]
    if items and not told:
        raise GraphUnclear("Meta's list of templates makes no sense.")
    return told


async def create_template(graph: Graph, waba_id: str, token: str, body: Mapping[str, Any]) -> str:
    """``POST /{waba_id}/message_templates``: the new template's id; Meta reviews it before it can be sent (9.1)."""
    return (await call(graph, "POST", f"{_id(waba_id)}/message_templates", token, Created, json=body)).id


# --- access (2.4, 2.5) ---------------------------------------------------------------------------------------------


async def exchange_code(
    graph: Graph, app_id: str, app_secret: str, code: str, *, redirect_uri: str | None = None
) -> AccessToken:
    """``GET /oauth/access_token``: the token for a sign-up's code, which lives 30 s and works once: no retry (2.4).

    Nothing of an answer that cannot be read is told on: it may hold the token.
    """
    params = {"client_id": app_id, "client_secret": app_secret, "code": code}
    if redirect_uri is not None:
        params["redirect_uri"] = redirect_uri
    try:
        return await call(graph, "GET", "oauth/access_token", None, AccessToken, params=params)
    except GraphUnclear:
        raise GraphUnclear("Meta did not answer the code with a token that can be read.") from None


async def debug_token(graph: Graph, token: str, app_id: str, app_secret: str) -> TokenInfo:
    """``GET /debug_token``: whether a token is good, ours, and covers a WABA (2.5, step 1)."""
    told = await _get_as_app(graph, "debug_token", app_id, app_secret, TokenAnswer, {"input_token": token})
    return told.data


async def _get_as_app(
    graph: Graph, path: str, app_id: str, app_secret: str, answer: type[T], params: Mapping[str, str] | None = None
) -> T:
    """GET with the app's own token, which is dead for one reason alone: the secret in it is another."""
    try:
        return await get(graph, path, f"{app_id}|{app_secret}", answer, params)
    except GraphError as error:
        if error.code == DEAD_TOKEN_CODE:
            raise SecretRefused(error) from error
        raise


# --- together ------------------------------------------------------------------------------------------------------


async def _change(graph: Graph, method: str, path: str, token: str, body: Mapping[str, Any] | None) -> None:
    done = await call(graph, method, path, token, Success, json=body)
    if not done.success:
        raise GraphUnclear("Meta answered that it did not succeed, without a reason.")


def _decoded(raw: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise GraphUnclear(f"Meta's answer makes no sense: {error}") from error


def _id(node: str) -> str:
    """An id as one step of a path, whatever it holds."""
    return quote(node, safe="")
