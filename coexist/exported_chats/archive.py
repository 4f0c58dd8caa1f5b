"""The package that WhatsApp makes: a text file, or a zip with it and the chat's files. It is never unpacked to disk.

What is read is counted as it comes: a zip's own word about sizes is only believed where it says too much.
"""

from __future__ import annotations

import codecs
import io
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from coexist.base.errors import Invalid, TooLarge
from coexist.exported_chats.reading import TEXT_CHARS_MAX, no_chat
from coexist.exported_chats.stamps import read_stamp

MEBIBYTE: Final = 1024 * 1024
PACKAGE_BYTES_MAX: Final = 2048 * MEBIBYTE
"""The largest package taken in."""
CHAT_BYTES_MAX: Final = 32 * MEBIBYTE
"""The largest text of a chat, unpacked: 40,000 messages are some 4 MiB."""
ENTRIES_COUNT_MAX: Final = 20_000
"""Files in one zip; WhatsApp exports 10,000 at most."""
DIRECTORY_BYTES_MAX: Final = 8 * MEBIBYTE
"""The list of a zip's files, which is read into memory as a whole."""
UNPACKED_BYTES_MAX: Final = 4096 * MEBIBYTE
"""All files of a zip, by its own word."""
CHUNK_BYTES: Final = 256 * 1024
HEAD_BYTES: Final = 4096
HEAD_LINES: Final = 20
TEXTS_COUNT: Final = 50
"""Text files of a zip that are looked at to find the chat."""

_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64: Final = struct.Struct("<4sLQL")
_COMMENT_BYTES_MAX: Final = 0xFFFF
_READABLE: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED: Final = 0x1
_UTF8_NAME: Final = 0x800


class Package:
    """An opened export. ``files`` are its files but the chat: name without folders → size in bytes as announced."""

    def __init__(self, path: Path, archive: zipfile.ZipFile | None) -> None:
        self._path = path
        self._archive = archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        if archive is not None:
            self._members = _members(archive)
        self._chat = _chat_of(self) if archive is not None else None
        self.files: Mapping[str, int] = {
            name: member.file_size for name, member in self._members.items() if member is not self._chat
        }

    @property
    def chat_name(self) -> str:
        """The name of the text in a zip, which may name the person; empty for a file that is the text."""
        return "" if self._chat is None else PurePosixPath(_name_of(self._chat)).stem

    def lines(self) -> Iterator[str]:
        """Yield the chat's lines without their ends, from the first. Raises Invalid and TooLarge."""
        yield from _lines(self._open_chat())

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes as they are unpacked. Raises Invalid for one that cannot be."""
        assert self._archive is not None
        with _in_words(), self._archive.open(self._members[name]) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def candidates(self) -> list[zipfile.ZipInfo]:
        """The zip's text files that may be the chat, the likeliest first."""
        texts = [member for name, member in self._members.items() if name.lower().endswith(".txt")]
        return sorted(texts, key=lambda member: not _is_named_as_chat(member))[:TEXTS_COUNT]

    def is_chat(self, member: zipfile.ZipInfo) -> bool:
        """Whether a text of the zip begins like a chat."""
        assert self._archive is not None
        with _in_words(), self._archive.open(member) as file:
            head = file.read(HEAD_BYTES)
        text = codecs.getincrementaldecoder(_encoding(head))(errors="replace").decode(head)
        return any(read_stamp(line) for line in text.splitlines()[:HEAD_LINES])

    def _open_chat(self) -> IO[bytes]:
        if self._archive is None:
            return self._path.open("rb")
        assert self._chat is not None
        with _in_words():
            return self._archive.open(self._chat)


@contextmanager
def opened(path: Path) -> Iterator[Package]:
    """Open the export at ``path``. Raises Invalid for what is no export, and TooLarge above the limits."""
    with path.open("rb") as file:
        is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
        if is_zip:
            _check_directory(file)
    if not is_zip:
        yield Package(path, None)
        return
    with _in_words():
        archive = zipfile.ZipFile(path)
    with archive:
        yield Package(path, archive)


@contextmanager
def _in_words() -> Iterator[None]:
    """What the zip library says of a broken file, as a sentence for the person."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise Invalid(
            f"This zip file is damaged: {error}.", next_step="Export the chat again, and give the file as it is."
        ) from error


# ── the zip ───────────────────────────────────────────────────────────────────────────────────────────────


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a list of files that is too long before the zip library reads it as a whole."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _COMMENT_BYTES_MAX - _END.size - _LOCATOR_64.size))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + _END.size:
        raise Invalid("This zip file is not complete.", next_step="Export the chat again, or copy the file once more.")
    _, _, _, _, count, directory_bytes, _, _ = _END.unpack_from(tail, at)
    before = at - _LOCATOR_64.size
    if before >= 0 and tail[before : before + 4] == b"PK\x06\x07":
        file.seek(_LOCATOR_64.unpack_from(tail, before)[2])
        found = file.read(_END_64.size)
        if len(found) < _END_64.size or found[:4] != b"PK\x06\x06":
            raise Invalid("This zip file is damaged.", next_step="Export the chat again, and give the file as it is.")
        count, directory_bytes = _END_64.unpack(found)[7:9]
    if count > ENTRIES_COUNT_MAX or directory_bytes > DIRECTORY_BYTES_MAX:
        raise TooLarge(f"This zip has more than {ENTRIES_COUNT_MAX:,} files; WhatsApp exports 10,000 at most.")


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    unpacked = 0
    for member in archive.infolist():
        name = _name_of(member)
        if member.is_dir() or not name or member.filename.startswith("__MACOSX/"):
            continue
        if member.flag_bits & _ENCRYPTED:
            raise Invalid("This zip file has a password.", next_step="Give the file as the phone exported it.")
        unpacked += member.file_size
        if unpacked > UNPACKED_BYTES_MAX:
            raise TooLarge(
                f"Unpacked, this zip is larger than the {UNPACKED_BYTES_MAX // MEBIBYTE:,} MiB taken in here."
            )
        if member.compress_type in _READABLE:
            members.setdefault(name, member)
    return members


def _name_of(member: zipfile.ZipInfo) -> str:
    """The file's name without its folders, composed. Old zip programs do not say that a name is UTF-8."""
    name = member.filename
    if not member.flag_bits & _UTF8_NAME:
        try:
            name = name.encode("cp437").decode()
        except (UnicodeEncodeError, UnicodeDecodeError):
            name = member.filename
    return unicodedata.normalize("NFC", PurePosixPath(name.replace("\\", "/")).name)


def _is_named_as_chat(member: zipfile.ZipInfo) -> bool:
    name = _name_of(member)
    return name == "_chat.txt" or "whatsapp" in name.lower() or "واتساب" in name


def _chat_of(package: Package) -> zipfile.ZipInfo:
    chats = [member for member in package.candidates() if package.is_chat(member)]
    if not chats:
        raise no_chat()
    named = [member for member in chats if _is_named_as_chat(member)]
    if len(named or chats) > 1:
        raise Invalid(f"There are {len(named or chats)} chats in this zip.", next_step="Give them one by one.")
    return (named or chats)[0]


# ── the text ──────────────────────────────────────────────────────────────────────────────────────────────


class _Counted(io.RawIOBase):
    """Reads no more than CHAT_BYTES_MAX, whatever a zip says of its sizes."""

    def __init__(self, file: IO[bytes], head: bytes) -> None:
        self._file, self._head, self._count = file, head, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # typeshed names no type for buffers in 3.11
        if self._head:
            chunk, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            with _in_words():
                chunk = self._file.read(len(view))
        self._count += len(chunk)
        if self._count > CHAT_BYTES_MAX:
            raise TooLarge(f"The chat is longer than the {CHAT_BYTES_MAX // MEBIBYTE} MiB of text taken in here.")
        view[: len(chunk)] = chunk
        return len(chunk)


def _lines(file: IO[bytes]) -> Iterator[str]:
    with file:
        with _in_words():
            head = file.read(HEAD_BYTES)
        text = io.TextIOWrapper(io.BufferedReader(_Counted(file, head), CHUNK_BYTES), encoding=_encoding(head))
        try:
            while line := text.readline(TEXT_CHARS_MAX + 1):
                if len(line) > TEXT_CHARS_MAX:
                    raise no_chat()
                yield line.rstrip("\n").replace("\0", "")
        except UnicodeDecodeError as error:
            raise Invalid(
                "This text is in no encoding that WhatsApp writes.",
                next_step="Give the file as the phone exported it: another program may have saved it anew.",
            ) from error


def _encoding(head: bytes) -> str:
    """WhatsApp writes UTF-8; programs that saved the file since may have made UTF-16 of it, or put a mark before it."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return encoding
    if head[1:2] == b"\0" and head[:1] != b"\0":
        return "utf-16-le"
    return "utf-16-be" if head[:1] == b"\0" and head[1:2] != b"\0" else "utf-8"
