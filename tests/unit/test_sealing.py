"""Bodies of the journal: what is sealed opens again, unreadably stored, and old rows stay readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coexist.base.crypto import KEY_BYTES, Keyring, SecretUnreadable
from coexist.intake.sealing import COMPRESSED_FROM_BYTES, seal, unseal

OURS = Keyring([b"o" * KEY_BYTES])
OTHERS = Keyring([b"x" * KEY_BYTES])


@given(st.binary(max_size=300) | st.binary(min_size=1, max_size=9).map(lambda part: part * COMPRESSED_FROM_BYTES))
def test_what_is_sealed_opens_to_the_same_bytes(body: bytes) -> None:
    assert unseal(OURS, seal(OURS, body)) == body


@pytest.mark.parametrize("times", [1, 10_000])
def test_nothing_of_a_body_is_readable_and_a_history_shrinks(times: int) -> None:
    body = b'{"text": "a secret of a customer"}' * times
    stored = seal(OURS, body)
    assert b"secret" not in stored
    assert len(stored) < len(body) + 40 if times == 1 else len(stored) < len(body) / 8


def test_a_body_of_another_key_says_which_setting_is_wrong() -> None:
    with pytest.raises(SecretUnreadable) as refused:
        unseal(OTHERS, seal(OURS, b"{}"))
    assert "COEXIST_SECRET_KEY" in (refused.value.next_step or "")


def test_a_rotated_key_still_opens_what_the_former_one_sealed() -> None:
    rotated = Keyring([b"n" * KEY_BYTES, b"o" * KEY_BYTES])
    assert unseal(rotated, seal(OURS, b"{}")) == b"{}"


@pytest.mark.parametrize("body", [b'{"object": "whatsapp_business_account"}', b"", b" []", b"\xff not json"])
def test_a_body_journaled_before_sealing_is_itself(body: bytes) -> None:
    assert unseal(OURS, body) == body
