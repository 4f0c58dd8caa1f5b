"""Secrets at rest, and the signature of a webhook."""

import hashlib
import hmac
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coexist.base import crypto
from coexist.base.config import Settings
from coexist.base.crypto import Keyring, SecretUnreadable, open_keyring, verify_signature

OLD, NEW = b"o" * 32, b"n" * 32


def sign(secret: bytes, body: bytes) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


@given(plain=st.binary(max_size=500))
def test_what_is_sealed_opens_in_its_row(plain: bytes) -> None:
    sealed = Keyring([OLD]).encrypt(plain, row="inbox:1:token")
    assert Keyring([OLD]).decrypt(sealed, row="inbox:1:token") == plain
    assert plain not in sealed or len(plain) < 4


def test_it_does_not_open_in_another_row() -> None:
    sealed = Keyring([OLD]).encrypt(b"token", row="inbox:1:token")
    with pytest.raises(SecretUnreadable, match="another row"):
        Keyring([OLD]).decrypt(sealed, row="inbox:2:token")


@given(position=st.integers(0, 37), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(position: int, bit: int) -> None:
    sealed = bytearray(Keyring([OLD]).encrypt(b"token", row="r"))
    assert len(sealed) == 38
    sealed[position] ^= 1 << bit
    with pytest.raises(SecretUnreadable):
        Keyring([OLD]).decrypt(bytes(sealed), row="r")


@pytest.mark.parametrize("length", [0, 1, 5, 16, 20])
def test_a_stump_is_refused(length: int) -> None:
    sealed = Keyring([OLD]).encrypt(b"token", row="r")
    with pytest.raises(SecretUnreadable):
        Keyring([OLD]).decrypt(sealed[:length], row="r")


def test_keys_rotate() -> None:
    sealed = Keyring([OLD]).encrypt(b"token", row="r")
    both = Keyring([NEW, OLD])
    assert both.decrypt(sealed, row="r") == b"token"
    assert not sealed.startswith(both.head)
    renewed = both.encrypt(b"token", row="r")
    assert renewed.startswith(both.head)
    assert Keyring([NEW]).decrypt(renewed, row="r") == b"token"
    with pytest.raises(SecretUnreadable, match="COEXIST_SECRET_KEY"):
        Keyring([NEW]).decrypt(sealed, row="r")


def test_the_key_file_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with ThreadPoolExecutor(8) as threads:
        keyrings = list(threads.map(lambda _: open_keyring(settings), range(8)))
    sealed = keyrings[0].encrypt(b"token", row="r")
    assert all(keyring.decrypt(sealed, row="r") == b"token" for keyring in keyrings)
    assert [file.name for file in settings.data_dir.iterdir()] == ["secret.key"]
    assert stat.S_IMODE((settings.data_dir / "secret.key").stat().st_mode) == 0o600


def test_a_damaged_key_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("nonsense")
    with pytest.raises(SecretUnreadable, match="backup"):
        open_keyring(Settings(data_dir=tmp_path))
    assert (tmp_path / "secret.key").read_text() == "nonsense"


@pytest.mark.requirement("C1")
def test_a_signature_is_checked_over_the_raw_bytes() -> None:
    body = b'{"text":"\\u00e9"}'
    assert verify_signature([NEW, OLD], body, sign(OLD, body))
    assert verify_signature([NEW, OLD], body, sign(NEW, body))
    assert not verify_signature([NEW], body, sign(OLD, body))
    assert not verify_signature([OLD], '{"text":"é"}'.encode(), sign(OLD, body))
    assert not verify_signature([], body, sign(b"", body))


@pytest.mark.parametrize(
    "header",
    [None, "", "sha256=", "sha256=zz", "sha256=é", "sha1=" + "0" * 40, "sha256=" + "0" * 63, "0" * 64],
)
def test_a_malformed_signature_is_no_signature(header: str | None) -> None:
    assert not verify_signature([OLD], b"{}", header)


@given(body=st.binary(max_size=200), position=st.integers(7, 70))
def test_one_wrong_digit_is_enough(body: bytes, position: int) -> None:
    header = sign(OLD, body)
    wrong = header[:position] + ("0" if header[position] != "0" else "1") + header[position + 1 :]
    assert verify_signature([OLD], body, header)
    assert not verify_signature([OLD], body, wrong)


def test_a_keyring_needs_whole_keys() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Keyring([os.urandom(crypto.KEY_BYTES - 1)])
