"""Guard: connections that go only where they may, and that end when they must.

A name is resolved once, every address it has is checked, and the connection is made to that very address, so that
nothing can be answered differently in between. A forbidden address is never sent a single byte.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

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

_REFUSED_NETWORKS = [ipaddress.ip_network(network) for network in (
    "192.0.0.0/24", "168.63.129.16/32",  # protocol assignments; one cloud's metadata, at a public address
    "64:ff9b:1::/48", "fec0::/10")]  # NAT64 within a network; site-local
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # how a network without IPv4 reaches the rest of the web


class Address(NamedTuple):
    family: int
    sockaddr: Any  # (address, port) or, for IPv6, (address, port, flow, scope)


def forbidden_address(text: str) -> bool:
    """Whether no request may go there: loopback, private, link-local, multicast, reserved, metadata."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _NAT64 or address.ipv4_mapped:
            return forbidden_address(str(low))
        inner = [address.sixtofour] if address.sixtofour else list(address.teredo or [])
        if any(forbidden_address(str(v4)) for v4 in inner):
            return True
    return (not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified
            or any(address in network for network in _REFUSED_NETWORKS if network.version == address.version))


def resolve(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a name. Raises FetchError("unreachable") when there is none within `seconds`."""
    try:
        found = bounded(seconds, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        raise FetchError("unreachable") from None
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]


def bounded(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread of its own. Raises TimeoutError after `seconds`.

    For what has no timeout itself, such as getaddrinfo. The thread is left behind then, and dies with the process.
    """
    outcome: Future[T] = Future()

    def worker() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # whatever it is, the caller gets it
            outcome.set_exception(error)

    threading.Thread(target=worker, daemon=True).start()
    return outcome.result(timeout=max(seconds, 0.001))


# --- deadlines -----------------------------------------------------------------------------------


class Fetching(threading.local):
    """The fetch that this thread is busy with: its sockets, deep inside libraries, can be told in no other way."""

    deadline = math.inf  # time.monotonic()
    read_timeout_sec = math.inf  # between two bytes
    bytes_left = 1 << 62  # that the exchange in progress may still receive
    in_head = False  # whether the end of the headers has not come yet


fetching = Fetching()


def _seconds_allowed(seconds: float) -> float:
    """`seconds`, or less if the fetch has less left."""
    left = fetching.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the fetch is past its deadline")
    return min(seconds, left)


class DeadlineSocket:
    """Each read waits no longer than the whole fetch may still take, so that a byte a second does not prolong it."""

    def recv_into(self, *args: Any) -> int:
        self.settimeout(_seconds_allowed(fetching.read_timeout_sec))  # type: ignore[attr-defined]
        n = int(super().recv_into(*args))  # type: ignore[misc]
        if not n and fetching.in_head:
            raise ConnectionResetError("closed within the headers")  # to http.client they would be complete
        fetching.bytes_left -= n
        if fetching.bytes_left < 0:
            raise FetchError("too_big")  # endless headers, trailers, or a chunk of size -1
        return n


class _Socket(DeadlineSocket, socket.socket):
    pass


class _TlsSocket(DeadlineSocket, ssl.SSLSocket):
    pass


# --- connections ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guard:
    connect_to: dict[str, tuple[str, int]]  # host -> the address and port that stand in for it
    allow_private: frozenset[str]  # "host:port" that may be at any address
    connect_timeout_sec: float  # of each: resolving, connecting, the TLS handshake

    def addresses(self, host: str, port: int, trusted: bool = False) -> list[Address]:
        """Where to connect to for a host. Raises FetchError("blocked_address") if any of its addresses is forbidden."""
        if host in self.connect_to:
            return [Address(socket.AF_INET, self.connect_to[host])]
        found = resolve(host, port, _seconds_allowed(self.connect_timeout_sec))
        trusted = trusted or f"{host}:{port}" in self.allow_private
        if not trusted and any(forbidden_address(address.sockaddr[0]) for address in found):
            raise FetchError("blocked_address")
        return found

    def open(self, host: str, port: int, trusted: bool) -> socket.socket:
        """A connection to the first address of a host that takes one; they share connect_timeout_sec."""
        addresses = self.addresses(host, port, trusted)[:MAX_ADDRESSES]
        ends = time.monotonic() + self.connect_timeout_sec
        for n, address in enumerate(addresses):
            with contextlib.suppress(OSError):
                return connect_socket(address, _seconds_allowed((ends - time.monotonic()) / (len(addresses) - n)))
        raise FetchError("unreachable")


def connect_socket(address: Address, seconds: float) -> socket.socket:
    """The one place where a connection is opened."""
    sock = _Socket(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(address.sockaddr)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


class GuardedAdapter(HTTPAdapter):
    """requests' adapter, on connections that a guard has opened."""

    def __init__(self, guard: Guard) -> None:
        self.pools = _pool_classes(guard)
        super().__init__(pool_connections=POOLED_HOSTS, pool_maxsize=2)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self.pools

    def build_response(self, req: Any, resp: Any) -> Any:
        """Without cookies, which nobody wants: to read hostile ones takes seconds."""
        original, resp._original_response = resp._original_response, None
        try:
            return super().build_response(req, resp)
        finally:
            resp._original_response = original

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self.pools
        return manager


class _Response(http.client.HTTPResponse):
    """Passes over early hints, as it does itself over 100 Continue, and knows headers that are cut off."""

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


def _pool_classes(guard: Guard) -> dict[str, Any]:
    """urllib3's pools by scheme. A connection to a proxy is trusted: the user has named the proxy."""

    class Plain(HTTPConnection):
        response_class = _Response

        def _new_conn(self) -> socket.socket:
            return guard.open(self._dns_host, self.port, trusted=self.proxy is not None)

    class Secure(HTTPSConnection):
        response_class = _Response

        def _new_conn(self) -> socket.socket:
            self.ssl_context = create_urllib3_context()
            self.ssl_context.sslsocket_class = _TlsSocket
            return guard.open(self._dns_host, self.port, trusted=self.proxy is not None)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
