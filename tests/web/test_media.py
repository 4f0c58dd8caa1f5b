"""Files: shown or saved by what they are, in ranges, to members of their account alone."""

from __future__ import annotations

import hashlib

import pytest

from coexist.base.database import transaction
from coexist.media import files
from coexist.people.model import Member
from coexist.web.access import SESSION_COOKIE
from tests.support.business import inbound
from tests.web.conftest import Site

BYTES = bytes(range(256)) * 40


async def store_file(site: Site, mime_type: str, name: str | None = None) -> str:
    """Give the customer's message a stored file; returns its address."""
    await site.deliver(inbound("wamid.A", "Olha"))
    digest = hashlib.sha256(BYTES).hexdigest()
    path = files.path_of(site.web.settings.data_dir, digest)
    path.parent.mkdir(parents=True)
    path.write_bytes(BYTES)
    async with transaction(site.pool) as conn:
        cursor = await conn.execute(
            "INSERT INTO media (inbox_id, wamid, mime_type, file_name, content_rank, told_at, state, stored_sha256)"
            " SELECT inbox_id, wamid, %s, %s, 40, now(), 'stored', %s FROM messages RETURNING"
            " (SELECT max(id) FROM messages)",
            (mime_type, name, digest),
        )
        row = await cursor.fetchone()
    assert row is not None
    return f"/media/{row[0]}"


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
    headers = {"Cookie": f"{SESSION_COOKIE}={site.cookie}", "Range": "bytes=100-199"}
    async with site.http.get(site.url + address, headers=headers) as answer:
        assert answer.status == 206
        assert await answer.read() == BYTES[100:200]


async def test_a_file_that_is_not_here_says_so(site: Site, stranger: Member) -> None:
    await site.deliver(inbound("wamid.B", "sem arquivo"))
    status, page = await site.get("/media/1")
    assert status == 404
    assert "This file is not here." in page
    address = await store_file(site, "image/png")
    assert (await site.post(address)).status == 405
    await site.sign_in(stranger)
    assert (await site.get(address))[0] == 404
    site.cookie = ""
    assert (await site.get(address))[0] == 303
