"""The picture, film or document at a template's head: given to Meta before the message is (meta-protocol 7.2, 7.5)."""

from __future__ import annotations

from typing import IO, Final

from coexist.base import clock
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, Invalid, TooLarge
from coexist.inbox import credentials, inboxes, refusals
from coexist.meta import graph as meta
from coexist.meta.errors import RENEW
from coexist.meta.graph import Graph, GraphError
from coexist.meta.templates import Takes
from coexist.outbound.model import SentFile
from coexist.people.model import Member

MEBIBYTE: Final = 1024 * 1024
BYTES_MAX: Final = {Takes.IMAGE: 5 * MEBIBYTE, Takes.VIDEO: 16 * MEBIBYTE, Takes.DOCUMENT: 100 * MEBIBYTE}
TYPES: Final = {
    Takes.IMAGE: ("image/jpeg", "image/png"),
    Takes.VIDEO: ("video/mp4", "video/3gpp"),
    Takes.DOCUMENT: (
        "application/pdf", "text/plain",
        "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
}  # fmt: skip
"""What Meta takes, by kind."""
WORDS: Final = {
    Takes.IMAGE: "a JPEG or PNG picture",
    Takes.VIDEO: "an MP4 or 3GP film",
    Takes.DOCUMENT: "a PDF, text or Office document",
}
FILE_NAME_CHARS_MAX: Final = 240


async def upload(
    pool: Pool,
    graph: Graph,
    keyring: Keyring,
    member: Member,
    inbox_id: int,
    takes: Takes,
    file: IO[bytes],
    *,
    size_bytes: int,
    mime_type: str,
    file_name: str,
) -> SentFile:
    """Give Meta a file for a template's header; it keeps it for 30 days. Giving it twice does no harm.

    Raises Invalid for a type that Meta does not take there, TooLarge, Conflict without access, GraphFailed, NotFound.
    """
    kind = mime_type.split(";")[0].strip().lower()
    if kind not in TYPES[takes]:
        raise Invalid(f"The header of this template takes {WORDS[takes]}.", next_step="Choose another file.")
    if size_bytes > BYTES_MAX[takes]:
        most, has = BYTES_MAX[takes] // MEBIBYTE, size_bytes / MEBIBYTE
        raise TooLarge(f"WhatsApp takes {most} MB here at most; this file has {has:,.1f} MB.")
    if size_bytes == 0:
        raise Invalid("This file is empty.", next_step="Choose another file.")
    asked_at = clock.now()
    async with transaction(pool) as conn:
        inbox = await inboxes.get(conn, member.account_id, inbox_id)
        token = await credentials.token_of(conn, keyring, inbox_id)
    if token is None:
        raise Conflict("There is no access to this number.", next_step=RENEW)
    name = file_name.replace("\0", "").strip()[-FILE_NAME_CHARS_MAX:] or takes.value
    number = inbox.phone_number_id
    try:
        media_id = await meta.upload_media(graph, number, token, file, mime_type=kind, file_name=name)
    except GraphError as error:
        await refusals.heed_error(pool, inbox_id, error, asked_at=asked_at)
        raise
    return SentFile(media_id, kind, name)
