"""A network of the laboratory's own, in which nobody else's datagrams are captured.

The kernel gives one to root, and on most systems to everybody within a user namespace, where capturing is then allowed
as well (unshare(1), user_namespaces(7)).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import sys

_MARK = "B4AE_LAB_NAMESPACE"
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def enter() -> None:
    """Starts this program again in a network namespace, unless it is in one; there, turns the loopback interface on."""
    if _MARK in os.environ:
        _turn_on_loopback()
        return
    unshare = shutil.which("unshare")
    if unshare is None:
        raise SystemExit("unshare(1) is missing; on Debian: apt-get install util-linux")
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [unshare, *mapped, "--net", sys.executable, "-m", "b4ae_lab", *sys.argv[1:]]
    os.execve(unshare, command, {**os.environ, _MARK: "1"})


def _turn_on_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = bytearray(struct.pack("16sH14x", b"lo", 0))
        fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        _name, flags = struct.unpack("16sH14x", request)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
