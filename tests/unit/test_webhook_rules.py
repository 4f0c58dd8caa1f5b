"""Where webhooks may go, when they are tried again, and when no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from coexist.base.errors import Invalid
from coexist.webhooks import rules

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PUBLIC = ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822")
PRIVATE = (
    "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "100.64.0.1", "198.18.0.1", "::1", "fd12::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::", "fec0::1", "192.0.0.9",
)  # fmt: skip
NEVER = (
    "169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "2002:a9fe:a9fe::",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_spoken_to_over_https_alone(address: str) -> None:
    for private in (False, True):
        assert rules.may_connect(ip_address(address), is_encrypted=True, private=private)
        assert not rules.may_connect(ip_address(address), is_encrypted=False, private=private)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_for_who_allows_them(address: str) -> None:
    for is_encrypted in (False, True):
        assert not rules.may_connect(ip_address(address), is_encrypted=is_encrypted, private=False)
        assert rules.may_connect(ip_address(address), is_encrypted=is_encrypted, private=True)


@pytest.mark.parametrize("address", NEVER)
def test_a_clouds_secrets_are_for_nobody(address: str) -> None:
    for private in (False, True):
        assert not rules.may_connect(ip_address(address), is_encrypted=True, private=private)


@pytest.mark.parametrize(
    "url",
    [
        "", "crm.example.com", "https://", "https:///path", "ftp://crm.example.com", "http://crm.example.com",
        "https://user:word@crm.example.com", "https://crm.example.com/#part", "https://crm.example.com:99999/",
        "https://crm.example.com/a b", "https://crm.example.com/\x00", "https://crmé.example.com", "https://[::1",
        "https://127.0.0.1/", "https://[::1]:8443/", "https://10.0.0.7/hook", "https://169.254.169.254/latest",
        "http://127.0.0.1:80/", "javascript:alert(1)", "https://crm.example.com/" + "a" * 2_000,
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_refused_in_words(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.checked_url(url, may_be_private=False)
    assert refused.value.next_step


def test_what_may_be_used() -> None:
    for url in ("https://crm.example.com/coexist?key=1", " https://crm.example.com:8443/ ", "https://93.184.216.34/"):
        assert rules.checked_url(url, may_be_private=False) == url.strip()
    for url in ("http://crm.internal/coexist", "http://127.0.0.1:8080/", "https://10.0.0.7/"):
        assert rules.checked_url(url, may_be_private=True) == url
    for url in ("http://93.184.216.34/", "https://169.254.169.254/"):
        with pytest.raises(Invalid, match="may not go to"):
            rules.checked_url(url, may_be_private=True)


def test_pauses_double_up_to_an_hour() -> None:
    longest = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    for failures, seconds in enumerate(longest, start=1):
        for _ in range(20):
            assert 0.75 * seconds <= rules.pause(failures).total_seconds() <= seconds
    assert rules.pause(10_000) <= timedelta(hours=1)


def test_who_takes_nothing_for_days_or_is_gone_is_given_up() -> None:
    days = timedelta(days=rules.FAILING_DAYS)
    assert rules.gives_up(500, rules.FAILURES_MIN, NOW - days, NOW)
    assert not rules.gives_up(500, rules.FAILURES_MIN, NOW - days + timedelta(minutes=1), NOW)
    assert not rules.gives_up(500, rules.FAILURES_MIN - 1, NOW - 100 * days, NOW), "a clock that jumped"
    assert rules.gives_up(410, 1, NOW, NOW)


@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 503, 599])
def test_only_2xx_means_taken(status: int) -> None:
    assert str(status) in (rules.said(status) or "")
    assert rules.said(204) is rules.said(200) is None
