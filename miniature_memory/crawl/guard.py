"""Guard: connections go only to permitted addresses, and end by their deadline.

A name is resolved once, all its addresses are checked, and the connection is made to one of these very addresses, so
that a second look-up cannot answer differently. A forbidden address never receives a single byte.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.urls import ascii_host

CONNECT_TIMEOUT_SEC = 5.0  # of each: resolving a name, connecting, the TLS handshake
READ_TIMEOUT_SEC = 10.0  # between two bytes
MAX_ADDRESSES = 4  # of one host that are tried
POOLED_HOSTS = 256  # hosts whose connection is kept open for the next request

T = TypeVar("T")


class FetchError(Exception):
    """A fetch that failed; `reason` is a fact, such as timeout, too_big or http_503."""

    def __init__(self, reason: str, retry_after_sec: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_sec = retry_after_sec


# --- addresses -----------------------------------------------------------------------------------

_FORBIDDEN_NETWORKS = [ipaddress.ip_network(network) for network in (
    "192.0.0.0/24", "168.63.129.16/32",  # protocol assignments; a cloud's metadata service at a public address
    "192.88.99.0/24",  # relays from IPv4 to IPv6, which are no more (RFC 7526)
    "64:ff9b:1::/48", "fec0::/10", "3fff::/20")]  # NAT64 within a network; site-local; documentation (RFC 9637)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 addresses as a network without IPv4 writes them


class Address(NamedTuple):
    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]  # (address, port) or, for IPv6, with flow and scope


def forbidden_address(text: str) -> bool:
    """Whether no request may be sent there: loopback, private, link-local, multicast, reserved, metadata."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _NAT64 or address.ipv4_mapped:
            return forbidden_address(str(low))
        inner = [address.sixtofour] if address.sixtofour else list(address.teredo or [])
        if any(forbidden_address(str(v4)) for v4 in inner):
            return True
    return (not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified
            or any(address in network for network in _FORBIDDEN_NETWORKS if network.version == address.version))


def resolve(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a name. Raises FetchError("unreachable") if none is found within `seconds`."""
    try:
        found = bounded(seconds, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        raise FetchError("unreachable") from None
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]  # type: ignore[arg-type]


def bounded(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, which runs in a thread of its own. Raises TimeoutError after `seconds`.

    For calls that have no timeout, such as getaddrinfo. A thread that is late is abandoned; it ends with the process.
    """
    outcome: Future[T] = Future()

    def worker() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # raised again in the caller's thread
            outcome.set_exception(error)

    threading.Thread(target=worker, daemon=True).start()
    return outcome.result(timeout=max(seconds, 0.001))


# --- deadlines -----------------------------------------------------------------------------------


class Fetching(threading.local):
    """The limits of this thread's current fetch, for the sockets that libraries open deep inside."""

    deadline = math.inf  # time.monotonic()
    bytes_left = 1 << 62  # that the current exchange may still receive
    in_head = False  # while the headers are being read
    target = ""  # of the current request: the libraries would respell its URL


fetching = Fetching()


def _seconds_allowed(seconds: float) -> float:
    """`seconds`, or what is left until the deadline of the fetch if that is less."""
    left = fetching.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the fetch is past its deadline")
    return min(seconds, left)


class DeadlineSocket(socket.socket):
    """Each read waits at most until the deadline of the fetch, so that one byte per second does not prolong it."""

    def recv_into(self, *args: Any) -> int:
        self.settimeout(_seconds_allowed(READ_TIMEOUT_SEC))
        n = super().recv_into(*args)
        if not n and fetching.in_head:
            raise ConnectionResetError("closed within the headers")  # http.client would take them for complete
        fetching.bytes_left -= n
        if fetching.bytes_left < 0:
            raise FetchError("too_big")  # endless headers, trailers, or a chunk of size -1
        return n


class TlsSocket(DeadlineSocket, ssl.SSLSocket):
    pass


# --- connections ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guard:
    """Where connections may go."""

    connect_to: dict[str, tuple[str, int]]  # host -> the address and port that replace it
    allow_private: frozenset[str]  # "host:port" that may be at any address

    @classmethod
    def of(cls, config: WebConfig) -> Guard:
        stand_ins = {}
        for entry in config.connect_to:
            host, address, port = re.split("[=:]", entry)
            stand_ins[ascii_host(host)] = (address, int(port))
        allowed = (entry.rpartition(":") for entry in config.allow_private)
        return cls(stand_ins, frozenset(f"{ascii_host(host) or host.lower()}:{port}" for host, _, port in allowed))

    def addresses(self, host: str, port: int, trusted: bool = False) -> list[Address]:
        """The addresses of a host. Raises FetchError("blocked_address") if any of them is forbidden."""
        if host in self.connect_to:
            return [Address(socket.AF_INET, self.connect_to[host])]
        found = resolve(host, port, _seconds_allowed(CONNECT_TIMEOUT_SEC))
        trusted = trusted or f"{host}:{port}" in self.allow_private
        if not trusted and any(forbidden_address(address.sockaddr[0]) for address in found):
            raise FetchError("blocked_address")
        return found

    def open(self, host: str, port: int, trusted: bool) -> socket.socket:
        """A connection to the first address of a host that accepts one; they share CONNECT_TIMEOUT_SEC."""
        addresses = self.addresses(host, port, trusted)[:MAX_ADDRESSES]
        ends = time.monotonic() + CONNECT_TIMEOUT_SEC
        for n, address in enumerate(addresses):
            with contextlib.suppress(OSError):
                return connect_socket(address, _seconds_allowed((ends - time.monotonic()) / (len(addresses) - n)))
        raise FetchError("unreachable")


def connect_socket(address: Address, seconds: float) -> socket.socket:
    """The one place where a connection is opened."""
    sock = DeadlineSocket(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(address.sockaddr)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


class GuardedAdapter(HTTPAdapter):
    """requests' adapter, on connections that a guard opens."""

    def __init__(self, guard: Guard) -> None:
        self.pools = _pool_classes(guard)
        super().__init__(pool_connections=POOLED_HOSTS, pool_maxsize=2)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self.pools

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Without cookies, which nobody needs: parsing hostile ones takes seconds."""
        original, resp._original_response = resp._original_response, None
        try:
            return super().build_response(req, resp)
        finally:
            resp._original_response = original

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self.pools
        return manager


class _ExactTarget(HTTPConnection):
    """Sends the URL of the current request as it is spelled."""

    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:
        super().putrequest(method, fetching.target or url, skip_host, skip_accept_encoding)


class _Response(http.client.HTTPResponse):
    """Skips early hints, as http.client skips 100 Continue, and notices headers that are cut off."""

    def begin(self) -> None:
        fetching.in_head = True
        try:
            super().begin()
        finally:
            fetching.in_head = False

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status not in (102, 103):
                return version, status, reason
            http.client._read_headers(self.fp)  # type: ignore[attr-defined]


def _pool_classes(guard: Guard) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools by scheme. A connection to a proxy is trusted, because the user named the proxy."""

    class Plain(_ExactTarget):
        response_class = _Response

        def _new_conn(self) -> socket.socket:
            return guard.open(self._dns_host, self.port, trusted=self.proxy is not None)

    class Secure(_ExactTarget, HTTPSConnection):
        response_class = _Response

        def _new_conn(self) -> socket.socket:
            self.ssl_context = create_urllib3_context()
            self.ssl_context.sslsocket_class = TlsSocket
            return guard.open(self._dns_host, self.port, trusted=self.proxy is not None)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
