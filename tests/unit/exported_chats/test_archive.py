"""Packages as phones make them, and as somebody might make them to do harm."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from coexist.base.errors import Invalid, TooLarge
from coexist.exported_chats import archive, planning
from tests.support.exported import CONTACT, PHONES, US, Line, clock, write_text, write_zip

PHONE = PHONES["pt-BR android"]
LINES = [
    Line(clock(2021, 12, 31, 22, 15), CONTACT, "Olá, está aberto?"),
    Line(clock(2021, 12, 31, 22, 16), US, "Está, até às 19 h"),
]
TEXT = PHONE.text(LINES)


def lines_of(path: Path) -> list[str]:
    with archive.opened(path) as package:
        return list(package.lines())


def surveyed(path: Path) -> None:
    planning.survey(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    assert lines_of(write_text(tmp_path / "a.txt", PHONE, LINES, encoding)) == TEXT.splitlines()


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.replace("\n", end).encode())
    assert lines_of(path) == TEXT.splitlines()


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="in no encoding that WhatsApp writes"):
        lines_of(write_text(tmp_path / "a.txt", PHONE, LINES, "cp1252"))


def test_a_zip_has_its_chat_and_its_files(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", PHONE, LINES, {"IMG-20211231-WA0001.jpg": b"jpeg", "ler.txt": b"1. x"})
    with archive.opened(path) as package:
        assert list(package.lines()) == TEXT.splitlines()
        assert package.chat_name == "Conversa do WhatsApp com Marta Reis"
        assert dict(package.files) == {"IMG-20211231-WA0001.jpg": 4, "ler.txt": 4}
        assert b"".join(package.chunks("IMG-20211231-WA0001.jpg")) == b"jpeg"


def test_names_are_composed_and_have_no_folders(tmp_path: Path) -> None:
    files = {
        "../../etc/passwd.jpg": b"a",
        "C:\\fora\\Fatura de ma\u0303o.pdf": b"b",
        "__MACOSX/._x.jpg": b"c",
        "/abs.pdf": b"d",
    }
    with archive.opened(write_zip(tmp_path / "a.zip", PHONE, LINES, files)) as package:
        assert set(package.files) == {"passwd.jpg", "Fatura de mão.pdf", "abs.pdf"}
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"], "nothing was unpacked"


def test_a_name_of_an_old_zip_program_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", PHONE, LINES, {"Orcamento-c.pdf": b"x"})
    renamed = path.read_bytes().replace(b"Orcamento-c.pdf", "Orçamento.pdf".encode().ljust(15, b"-"))
    path.write_bytes(renamed)
    with archive.opened(path) as package:
        assert list(package.files) == ["Orçamento.pdf-"]


def test_two_chats_in_one_zip_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", PHONE, LINES, {"WhatsApp Chat with Rui.txt": TEXT.encode()})
    with pytest.raises(Invalid, match="2 chats in this zip"), archive.opened(path):
        pass


def test_a_chat_of_another_name_is_found(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", PHONE, LINES, {"notas.txt": b"leite, ovos"}, name="conversa.txt")
    assert lines_of(path) == TEXT.splitlines()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 3000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(Invalid):
        surveyed(path)


def test_a_zip_without_a_chat_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("foto.jpg", b"x")
    with pytest.raises(Invalid, match="not a chat that WhatsApp exported"):
        surveyed(path)


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", PHONE, LINES * 500, {"IMG-1.jpg": b"x" * 9000})
    whole = path.read_bytes()
    for broken in (whole[:-40], whole[: len(whole) // 2], whole[:60] + bytes(len(whole) - 200) + whole[-140:]):
        path.write_bytes(broken)
        with pytest.raises(Invalid, match=r"damaged|not complete"):
            surveyed(path)


def test_a_file_with_a_password_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", PHONE, LINES, {})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(Invalid, match="password"):
        surveyed(path)


def test_a_bomb_of_text_goes_off_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package, package.open("_chat.txt", "w") as file:
        file.write(TEXT.encode())
        for _ in range(archive.CHAT_BYTES_MAX // (1 << 20) + 1):
            file.write((b"x" * 999 + b"\n") * 1049)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(TooLarge):
        surveyed(path)


def test_a_bomb_that_lies_about_its_size_goes_off_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("_chat.txt", TEXT + (TEXT.splitlines()[0] + "\n") * 1_000_000)
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\x01\x02") + 24, 1000)
    path.write_bytes(content)
    with pytest.raises((Invalid, TooLarge)):
        surveyed(path)


def test_a_bomb_of_overlapping_files_is_counted_by_its_own_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "UNPACKED_BYTES_MAX", 10_000)
    with pytest.raises(TooLarge, match="Unpacked, this zip is larger"):
        surveyed(write_zip(tmp_path / "a.zip", PHONE, LINES, {"a.jpg": b"x" * 9_990}))


def test_a_list_of_too_many_files_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "a.zip", PHONE, LINES, {f"{n}.jpg": b"" for n in range(30)})
    monkeypatch.setattr(archive, "ENTRIES_COUNT_MAX", 20)
    with pytest.raises(TooLarge, match="more than 20 files"):
        surveyed(path)


def test_the_list_of_a_large_zip_format_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip64 record stands behind the ordinary one and is what the zip library believes."""
    plain = write_zip(tmp_path / "a.zip", PHONE, LINES, {"a.jpg": b"x"}).read_bytes()
    at = plain.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HLL", plain, at + 10)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    path = tmp_path / "b.zip"
    path.write_bytes(plain[:at] + record + locator + plain[at:])
    assert lines_of(path) == TEXT.splitlines()
    monkeypatch.setattr(archive, "ENTRIES_COUNT_MAX", 1)
    with pytest.raises(TooLarge, match="more than 1 files"):
        surveyed(path)


def test_a_line_without_end_is_no_chat(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 200_000)
    with pytest.raises(Invalid, match="not a chat"):
        lines_of(path)


def test_a_package_of_200_mb_is_read_in_little_memory(tmp_path: Path) -> None:
    """A program of its own reads all of it, files too, with less memory than any of its files has bytes."""
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as package:
        package.writestr("_chat.txt", TEXT + "".join(f"31/12/2021 22:17 - {US}: {n}\n" for n in range(40_000)))
        for number in range(4):
            with package.open(f"VID-20211231-WA000{number}.mp4", "w") as file:
                for _ in range(50):
                    file.write(bytes(1 << 20))
    assert path.stat().st_size > 200 << 20
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from coexist.exported_chats import archive, planning
        path = Path(sys.argv[1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        planning.survey(path)
        with archive.opened(path) as package:
            total = sum(len(chunk) for name in package.files for chunk in package.chunks(name))
        print(total, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """)
    ran = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    total, grown_mib = (int(word) for word in ran.stdout.split())
    assert total == 200 << 20
    assert grown_mib < 40


def test_what_is_announced_is_not_what_is_read(tmp_path: Path) -> None:
    """More bytes than announced end a file with an error instead of a surprise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("_chat.txt", TEXT)
        package.writestr("a.jpg", b"x" * 100_000)
    content = bytearray(buffer.getvalue())
    struct.pack_into("<L", content, content.rindex(b"PK\x01\x02") + 24, 10)
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with archive.opened(path) as package, pytest.raises(Invalid, match="damaged"):
        list(package.chunks("a.jpg"))
