"""Protection against SSRF: the network addresses that a third party's URL may resolve to.

A name is resolved once per connection, and the connection is made to the checked addresses.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")
_VISIBLE_ASCII = re.compile(r"[!-~]+")
# Networks that are not global, or lead to ones that are not, and that `is_global` does not know in every Python.
_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/3"),
            # Other forms of IPv4 within IPv6 than the two unwrapped below (Teredo), site-local, discard.
            *("2001::/23", "fec0::/10", "fc00::/7", "fe80::/10", "ff00::/8", "100::/64", "64:ff9b:1::/48"),
        ),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddress(Exception):
    """The name resolves to an address that may not be called."""


def why_not(url: str) -> str | None:
    """Why `url` may not be called, as far as is known without resolving its name; None if it may."""
    if not _VISIBLE_ASCII.fullmatch(url):
        return _("A URL is visible ASCII characters; write a name with other letters in Punycode (xn--…).")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _("This is not a URL.")
    return _why_not(parts, host, port)


def _why_not(parts: SplitResult, host: str, port: int | None) -> str | None:
    if parts.scheme not in ("https", "http") or not host or port == 0:
        return _("Write the whole URL, such as https://partner.example/webhooks.")
    if parts.scheme == "http" and not settings.WEBHOOK_ALLOW_HTTP:
        return _("Only https is allowed, because events contain data of customers.")
    if "@" in parts.netloc or parts.fragment:
        return _("A URL here has no user, no password and no fragment (#…).")
    address = _address("127.0.0.1" if host.rstrip(".") == "localhost" else host)
    if address is None and not _NAME.fullmatch(host):
        return _("This is not the name of a server.")
    if address is not None and not is_allowed(address):
        return _("This address is private or reserved: calls go to public addresses only.")
    return None


def is_allowed(address: Address) -> bool:
    """Whether the address is public or in WEBHOOK_ALLOWED_NETWORKS."""
    if any(address in network for network in settings.WEBHOOK_ALLOWED_NETWORKS):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if within is None and address in _NAT64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None:
            return is_allowed(within)
    return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER)


def addresses_of(host: str, port: int) -> Sequence[tuple[socket.AddressFamily, str]]:
    """Resolve `host`. Callers connect to these addresses and do not resolve the name again.

    Raises OSError if there are none, and ForbiddenAddress if any of them is not allowed.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys((family, str(sockaddr[0])) for family, _type, _proto, _name, sockaddr in found))
    for _family, text in addresses:
        address = _address(text)
        if address is None or not is_allowed(address):
            raise ForbiddenAddress
    return addresses


def _address(text: str) -> Address | None:
    # Without the interface of a scoped IPv6 address such as `fe80::1%eth0`.
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
