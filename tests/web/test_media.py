"""Files: shown or saved by what they are, in ranges, to members of their account alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta

import pytest

from coexist.base import clock
from coexist.base.database import transaction
from coexist.media import drafts
from coexist.media.model import Name, Reason
from coexist.people.model import Member
from coexist.web.access import SESSION_COOKIE
from tests.support.business import inbound
from tests.web.conftest import Site

BYTES = bytes(range(256)) * 40
SHA256 = hashlib.sha256(BYTES).hexdigest()
ADD = """
INSERT INTO media (inbox_id, wamid, media_id, mime_type, file_name, content_rank, told_at, known_at, state,
                   stored_sha256, bytes, thumbnail_bytes, reason, error)
SELECT inbox_id, wamid, '880', %s, %s, 40, now(), %s, %s::media_state, %s, %s, %s, %s, %s
  FROM messages WHERE id = (SELECT max(id) FROM messages)
RETURNING (SELECT max(id) FROM messages)
"""


async def put(site: Site, name: Name, content: bytes) -> None:
    source = drafts.new_path(site.web.settings.data_dir)
    source.write_bytes(content)
    await site.web.storage.put(name, source)


async def store_file(site: Site, mime_type: str, name: str | None = None, thumbnail: bytes | None = None) -> str:
    """Give the customer's message a stored file; returns its address."""
    assert site.business is not None
    await site.deliver(inbound("wamid.A", "Olha"))
    stored = Name(site.business.inbox.account_id, SHA256)
    await put(site, stored, BYTES)
    if thumbnail is not None:
        await put(site, stored.thumbnail, thumbnail)
    small = None if thumbnail is None else len(thumbnail)
    values = (mime_type, name, clock.now(), "stored", SHA256, len(BYTES), small, None, None)
    return f"/media/{await _add(site, values)}"


async def lose_file(site: Site, state: str, reason: Reason, error: str, *, days_ago: int = 0) -> int:
    """Give the customer's message a file that is not here; returns the message's id."""
    await site.deliver(inbound("wamid.A", "Olha"))
    known_at = clock.now() - timedelta(days=days_ago)
    return await _add(site, ("image/jpeg", None, known_at, state, None, None, None, reason, error))


async def _add(site: Site, values: tuple[object, ...]) -> int:
    async with transaction(site.pool) as conn:
        row = await (await conn.execute(ADD, values)).fetchone()
    assert row is not None
    return int(row[0])


async def ask(site: Site, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = {"Cookie": f"{SESSION_COOKIE}={site.cookie}"} | named
    async with site.http.request(method, site.url + path, headers=asked, allow_redirects=False) as answer:
        return answer.status, await answer.read(), answer.headers


@pytest.mark.parametrize(
    ("mime_type", "disposition", "content_type"),
    [
        ("image/jpeg", "inline", "image/jpeg"),
        ("audio/ogg; codecs=opus", "inline", "audio/ogg; codecs=opus"),
        ("video/mp4", "inline", "video/mp4"),
        ("image/svg+xml", "attachment", "application/octet-stream"),
        ("text/html", "attachment", "application/octet-stream"),
        ("application/pdf", "attachment", "application/octet-stream"),
    ],
)
async def test_only_harmless_kinds_are_shown_in_place(
    site: Site, mime_type: str, disposition: str, content_type: str
) -> None:
    address = await store_file(site, mime_type, 'a"; x=.pdf')
    headers = {"Cookie": f"{SESSION_COOKIE}={site.cookie}"}
    async with site.http.get(site.url + address, headers=headers) as answer:
        assert answer.status == 200
        assert await answer.read() == BYTES
        assert answer.headers["Content-Disposition"].startswith(f"{disposition}; filename*=utf-8''a%22")
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert "private" in answer.headers["Cache-Control"]


async def test_players_can_seek(site: Site) -> None:
    address = await store_file(site, "audio/ogg")
    for wanted, start, end in (("100-199", 100, 200), ("10000-", 10_000, 10_240), ("-40", 10_200, 10_240)):
        status, body, headers = await ask(site, address, Range=f"bytes={wanted}")
        assert (status, body) == (206, BYTES[start:end])
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/10240"
        assert headers["Content-Length"] == str(end - start)
    for impossible in ("0-5,7-9", "10240-", "9-3", "x"):
        status, body, headers = await ask(site, address, Range=f"bytes={impossible}")
        assert (status, body, headers["Content-Range"]) == (416, b"", "bytes */10240")


async def test_a_browser_that_has_it_gets_it_once(site: Site) -> None:
    address = await store_file(site, "image/jpeg")
    _, _, headers = await ask(site, address)
    etag = headers["ETag"]
    assert (headers["Accept-Ranges"], headers["Content-Length"]) == ("bytes", "10240")
    assert (await ask(site, address, If_None_Match=f'"other", W/{etag}'))[:2] == (304, b"")
    assert (await ask(site, address, Range="bytes=0-9", If_Range=etag))[0] == 206
    assert (await ask(site, address, Range="bytes=0-9", If_Range='"another file"'))[:2] == (200, BYTES)
    status, body, headers = await ask(site, address, "HEAD")
    assert (status, body, headers["Content-Length"], headers["ETag"]) == (200, b"", "10240", etag)


async def test_a_photo_has_its_small_picture_at_an_address_of_its_own(site: Site) -> None:
    address = await store_file(site, "image/jpeg", thumbnail=b"RIFF....WEBP")
    status, body, headers = await ask(site, f"{address}/thumbnail")
    assert (status, body, headers["Content-Type"]) == (200, b"RIFF....WEBP", "image/webp")
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["ETag"] != (await ask(site, address))[2]["ETag"]
    page = (await site.get("/conversations/1"))[1]
    assert f'src="{address}/thumbnail"' in page
    assert f'href="{address}"' in page


async def test_a_file_whose_bytes_are_lost_is_said_before_anything_is_sent(site: Site) -> None:
    address = await store_file(site, "image/jpeg")
    assert site.business is not None
    await site.web.storage.delete(Name(site.business.inbox.account_id, SHA256))
    status, page = await site.get(address)
    assert status == 404
    assert "This file is not here." in page


async def test_a_file_that_is_not_here_says_so(site: Site, stranger: Member) -> None:
    await site.deliver(inbound("wamid.B", "sem arquivo"))
    status, page = await site.get("/media/1")
    assert status == 404
    assert "This file is not here." in page
    address = await store_file(site, "image/png", thumbnail=b"small")
    assert (await site.post(address)).status == 405
    await site.sign_in(stranger)
    for path in (address, f"{address}/thumbnail"):
        assert (await site.get(path))[0] == 404
    site.cookie = ""
    assert (await site.get(address))[0] == 303


async def test_a_file_that_could_not_come_is_asked_for_again_by_a_button(site: Site, stranger: Member) -> None:
    message_id = await lose_file(site, "failed", Reason.TOO_LARGE, "The file has 300 MB.")
    page = (await site.get("/conversations/1"))[1]
    assert "The file has 300 MB." in page
    assert "ask the customer to send it again" in page
    assert f'hx-post="/messages/{message_id}/file"' in page
    answer = await site.post(f"/messages/{message_id}/file")
    assert (answer.status, answer.headers["Location"]) == (303, "/conversations/1")
    assert "Being fetched" in (await site.get("/conversations/1"))[1]
    await site.sign_in(stranger)
    assert (await site.post(f"/messages/{message_id}/file")).status == 404


@pytest.mark.requirement("D10")
async def test_what_meta_no_longer_keeps_has_no_button(site: Site) -> None:
    message_id = await lose_file(site, "gone", Reason.UNKNOWN_TO_META, "WhatsApp no longer has this file.", days_ago=8)
    page = (await site.get("/conversations/1"))[1]
    assert "WhatsApp no longer has this file. It should still be on the phone" in page
    assert f"/messages/{message_id}/file" not in page
    assert (await site.post(f"/messages/{message_id}/file")).status == 409
