"""Allowed URLs of subscriptions, and allowed addresses of their host names."""

from ipaddress import ip_address, ip_network

import pytest
from pytest_django import Settings

from commerce.outbox.sinks.addresses import is_allowed, why_not

PRIVATE = (
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),  # noqa: S104
    *("169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.1", "198.18.0.1", "192.0.2.1"),
    *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "100::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
)
PUBLIC = ("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2001:4860:4860::8888", "2606:4700::1", "64:ff9b::808:808")


@pytest.fixture(autouse=True)
def nothing_allowed(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    settings.WEBHOOK_ALLOW_HTTP = False


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_reserved_addresses_are_not_called(address: str) -> None:
    assert not is_allowed(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are(address: str) -> None:
    assert is_allowed(ip_address(address))


def test_a_setting_allows_a_network_and_no_other(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("10.20.0.0/16")]
    assert is_allowed(ip_address("10.20.3.4"))
    assert is_allowed(ip_address("::ffff:10.20.3.4"))
    assert not is_allowed(ip_address("10.21.0.1"))


@pytest.mark.parametrize(
    "url",
    [
        "https://partner.example/webhooks",
        "https://partner.example:8443/a/b?c=d",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/hooks",
        "https://[2001:4860:4860::8888]/",
    ],
)
def test_allowed_urls(url: str) -> None:
    assert why_not(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "partner.example",
        "https://",
        "https:///path",
        "http://partner.example/",
        "ftp://partner.example/",
        "file:///etc/passwd",
        "gopher://partner.example/",
        "https://user:password@partner.example/",
        "https://partner.example@127.0.0.1/",
        "https://partner.example/#here",
        "https://partner.example:0/",
        "https://partner.example:99999/",
        "https://partner.example:x/",
        "https://partner example/",
        "https://partner.example/\r\nX-Evil: 1",
        "https://bücher.example/",
        "https://-partner.example/",
        "https://part_ner.example/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fe80::1%25eth0]/",
    ],
)
def test_refused_urls(url: str) -> None:
    assert why_not(url) is not None


def test_http_and_the_loopback_where_settings_allow_them(settings: Settings) -> None:
    settings.WEBHOOK_ALLOW_HTTP = True
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    assert why_not("http://127.0.0.1:8080/") is None
    assert why_not("http://localhost:8080/") is None
    assert why_not("http://10.0.0.1/") is not None
