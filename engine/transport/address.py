"""Addresses as users write them, and the rule that plaintext stays on this machine."""

import errno
import ipaddress
import os
import socket
from typing import NamedTuple

from ..errors import AddressInUse, Error, InvalidArgument, PermissionDenied, Unavailable


class Address(NamedTuple):
    """A host (name or IP address) and a TCP port; port 0 lets the system choose when listening."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read ``host:port`` or ``[IPv6]:port``.

    Raises:
        InvalidArgument: it is neither.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise InvalidArgument(f"address {text!r}: write an IPv6 address in brackets")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise InvalidArgument(f"address {text!r} is not host:port")
    if int(port) > 65535:
        raise InvalidArgument(f"address {text!r}: a port is at most 65535")
    return Address(host, int(port))


def require_loopback(address: Address, *, insecure: bool) -> None:
    """Allow plaintext on loopback only, unless the user has asked for it by name.

    Raises:
        InvalidArgument: any other address, also a name other than ``localhost``, and not ``insecure``.
    """
    if insecure or address.host == "localhost" or _is_loopback_ip(address.host):
        return
    raise InvalidArgument(
        f"{address} is not a loopback address, and connections are not encrypted: "
        "if the network is trusted, allow it by name (insecure=True, on the command line --insecure)"
    )


def _is_loopback_ip(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: what it resolves to may change
        return False


def check_listen(address: Address) -> None:
    """Bind to an address and let go of it again.

    Raises:
        AddressInUse, InvalidArgument, PermissionDenied: it cannot be listened on.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise listen_error(error, address) from error


def listen_error(error: OSError, address: Address) -> Error:
    """The typed error for a failure to listen."""
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(f"cannot listen on {address}: the port is in use")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PermissionDenied(f"cannot listen on {address}: this user may not use the port")
    return InvalidArgument(f"cannot listen on {address}: {_reason(error)}")


def connect_error(error: OSError, address: Address) -> Error:
    """The typed error for a failure to connect, or for a connection that broke."""
    return Unavailable(f"cannot reach {address}: {_reason(error)}")


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer in time"
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)  # asyncio's own text repeats the address
