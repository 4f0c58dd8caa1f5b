"""One call to Meta's Graph API: address, proof, time limits, and what an answer or its absence means
(meta-protocol 1.1, 1.2 and 7.4).

Three ends besides success, because a message must never be sent twice: Meta refused (`GraphError`), not one byte
reached Meta (`GraphNotSent`), or nobody knows (`GraphUnclear`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Final, TypeVar

import aiohttp
import msgspec
import stamina

from coexist.base.config import Settings
from coexist.base.errors import UpstreamFailed
from coexist.meta.decode import clean, mended
from coexist.meta.errors import ErrorClass, ErrorMeaning, explain
from coexist.meta.usage import Usage, usage_wait

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
"""From the first byte of a request to the last of its answer."""
UPLOAD_SECONDS: Final = 300.0
SILENCE_SECONDS: Final = 30.0
"""A download may take long, but not stand still."""
ANSWER_LIMIT_BYTES: Final = 8 * 1024 * 1024
RETRY_ATTEMPTS: Final = 3
RETRY_TOTAL_SECONDS: Final = 60.0
SHOWN_BODY_CHARS: Final = 200
OF_SECRET: Final = ((100, "appsecret_proof"), (1, "client secret"))
"""How Meta says that the proof of a call, or of who exchanges a code, was made with another secret."""


class GraphFailed(UpstreamFailed):
    """A call to Graph did not succeed."""


class GraphError(GraphFailed):
    """Meta answered with an error envelope: it was certainly not done, unless `meaning` says otherwise.

    `code` decides, `details` tells causes of one code apart; support asks for `fbtrace_id`. `wait` is how long Meta's
    usage headers ask us to leave it alone.
    """

    def __init__(self, http_status: int, envelope: _Error, wait: timedelta = timedelta(0)) -> None:
        self.http_status = http_status
        self.wait = wait
        self.code = envelope.code
        self.subcode = envelope.error_subcode
        self.details = (envelope.error_data.details if envelope.error_data else None) or envelope.error_user_msg
        self.raw_message = envelope.message
        self.fbtrace_id = envelope.fbtrace_id
        meaning = explain(self.code, self.details or self.raw_message)
        self.is_transient = bool(envelope.is_transient) or meaning.kind is ErrorClass.TRANSIENT
        words = ": ".join(str(part) for part in (self.code, self.details or self.raw_message) if part is not None)
        super().__init__(f"{meaning.what} (Meta: {words})", next_step=meaning.next_step or None)

    @property
    def meaning(self) -> ErrorMeaning:
        """The code explained."""
        return explain(self.code, self.details or self.raw_message)


class GraphUnclear(GraphFailed):
    """No answer, or none that can be read: what was asked for may have happened."""


class GraphNotSent(GraphFailed):
    """No connection to Meta: what was asked for has certainly not happened."""

    status: ClassVar[int] = 503


class SecretRefused(GraphNotSent):
    """Meta does not take our app secret: nothing was done, and nothing will be until it is right again."""

    def __init__(self, refusal: GraphError) -> None:
        super().__init__(
            f"Meta does not take our app secret (Meta: {refusal.code}: {refusal.details or refusal.raw_message}).",
            next_step="Whoever runs this installation sets COEXIST_APP_SECRET to what App settings > Basic shows at "
            "Meta, and restarts everything (docs/operations.md).",
        )


class _ErrorData(msgspec.Struct):
    details: str | None = None


class _Error(msgspec.Struct):
    message: str | None = None
    code: int | None = None
    error_subcode: int | None = None
    error_data: _ErrorData | None = None
    error_user_msg: str | None = None
    is_transient: bool | None = None
    fbtrace_id: str | None = None


class _Envelope(msgspec.Struct):
    error: _Error


@dataclass(frozen=True, slots=True)
class Graph:
    """Where Graph is and how it is spoken to; one for the process.

    `base_url` is ``https://graph.facebook.com`` or an emulator's, `version` such as ``v25.0``. With `app_secret`
    each call carries ``appsecret_proof``. ``usage`` is what its answers told of Meta's limits.
    """

    session: aiohttp.ClientSession
    base_url: str
    version: str
    app_secret: str | None = None
    usage: Usage = field(default_factory=Usage)

    def url(self, path: str) -> str:
        return f"{self.base_url.rstrip('/')}/{self.version}/{path.lstrip('/')}"

    def proof(self, token: str) -> str | None:
        """HMAC-SHA256 of the token under the app secret, 64 hex digits; None without a secret (1.1)."""
        if not self.app_secret:
            return None
        return hmac.new(self.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()


def graph_of(settings: Settings, session: aiohttp.ClientSession) -> Graph:
    """Graph as the settings name it; the first secret signs our calls."""
    secret = settings.app_secrets[0].decode() if settings.app_secrets else None
    return Graph(session, settings.graph_url, settings.graph_version, secret)


T = TypeVar("T")
Params = Mapping[str, str]


async def get(graph: Graph, path: str, token: str | None, answer: type[T], params: Params | None = None) -> T:
    """GET `path`; tried again when that may help, for reading changes nothing. Raises GraphFailed.

    An unknown fault is worth one more try (1.5); a limit none, for that would be another call too many.
    """
    unknown_faults = 0

    def is_worth_retrying(error: Exception) -> bool:
        nonlocal unknown_faults
        if isinstance(error, GraphError) and error.meaning.kind is ErrorClass.AMBIGUOUS:
            unknown_faults += 1
            return unknown_faults == 1
        if isinstance(error, SecretRefused):
            return False
        return isinstance(error, GraphUnclear | GraphNotSent) or (isinstance(error, GraphError) and error.is_transient)

    async for attempt in stamina.retry_context(is_worth_retrying, RETRY_ATTEMPTS, RETRY_TOTAL_SECONDS):
        with attempt:
            return await call(graph, "GET", path, token, answer, params=params)
    raise AssertionError("stamina gives a result or raises")


async def call(
    graph: Graph,
    method: str,
    path: str,
    token: str | None,
    answer: type[T],
    *,
    params: Params | None = None,
    json: Mapping[str, Any] | None = None,
    form: aiohttp.FormData | None = None,
    answer_seconds: float = ANSWER_SECONDS,
) -> T:
    """One request, never repeated; the answer decoded as `answer`. Raises GraphError, GraphNotSent, GraphUnclear."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    query = dict(params or {})
    if token and (proof := graph.proof(token)):
        query["appsecret_proof"] = proof
    body: Any = form
    if json is not None:
        body = msgspec.json.encode(json)
        headers["Content-Type"] = "application/json"
    timeout = aiohttp.ClientTimeout(total=answer_seconds, connect=CONNECT_SECONDS)
    try:
        async with graph.session.request(
            method, graph.url(path), params=query, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            graph.usage.hear(token, response.headers)
            content = await _bounded(response)
            return _understood(response, content, answer)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise GraphNotSent("Meta cannot be reached.", next_step="Check this computer's connection.") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        how = "in time" if isinstance(error, TimeoutError) else f"({type(error).__name__})"
        raise GraphUnclear(f"Meta did not answer {how}.") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > ANSWER_LIMIT_BYTES:
            raise GraphUnclear(f"Meta's answer is larger than {ANSWER_LIMIT_BYTES} bytes.")
    return bytes(content)


def _understood(response: aiohttp.ClientResponse, content: bytes, answer: type[T]) -> T:
    """A gateway may answer in HTML or not at all, with any status: only an envelope proves a refusal (1.2)."""
    raise_if_refused(response, content)
    if 200 <= response.status < 300:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(content, type=answer)
        try:  # what people typed may hold half a letter, which no decoder takes
            return msgspec.json.decode(mended(clean(content)), type=answer)
        except msgspec.DecodeError as error:
            raise GraphUnclear(f"Meta's answer makes no sense: {_shown(content)}") from error
    raise GraphUnclear(f"Meta answered {response.status} without saying why: {_shown(content)}")


def raise_if_refused(response: aiohttp.ClientResponse, content: bytes) -> None:
    """Raises GraphError if `content` is an error envelope; SecretRefused if it says that our app secret is wrong."""
    try:
        refusal = msgspec.json.decode(content, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    error = GraphError(response.status, refusal.error, usage_wait(response.headers))
    said = f"{error.raw_message} {error.details}"
    if any(error.code == code and words in said for code, words in OF_SECRET):
        raise SecretRefused(error)
    raise error


def _shown(content: bytes) -> str:
    return content[:SHOWN_BODY_CHARS].decode(errors="replace") or "an empty body"
