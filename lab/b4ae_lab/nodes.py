"""Processes that talk: what is written to them, what they say they heard, and which port they send from.

Nothing here blocks: pipes are written and read when there is room or something to read, by one `selectors` loop.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

_URI = re.compile(r"b4ae://\S+#\w+")
_READ = 1 << 16
_PATIENCE = 20.0
_HEADER = 176  # what a datagram of 1200 bytes has beside 1024 bytes of a message


class NodeError(RuntimeError):
    """A node did not start, or ended before it was asked to."""


class Talker(Protocol):
    """One end of a session, as the behaviours see it."""

    #: Called for each message that arrived, with whether it asks for an answer.
    on_message: Callable[[bool], None]

    def say(self, length: int, asks: bool = False) -> None:
        """Sends a message of so many bytes."""


def ignore(_asks: bool) -> None:
    """What an application does that expects nothing."""


class Process:
    """A process whose standard input and output belong to the laboratory."""

    def __init__(self, selector: selectors.BaseSelector, command: list[str], home: Path) -> None:
        self._selector = selector
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, closed with the process
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_DATA_HOME": str(home)}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=home,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._command = command
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._waiting: deque[bytes] = deque()
        self._line = b""
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)
        selector.register(self._stdout, selectors.EVENT_READ, self._read)

    def on_line(self, line: bytes) -> None:
        """A line of standard output."""

    def write(self, data: bytes) -> None:
        """Hands `data` to standard input, now or as soon as there is room."""
        if not self._waiting:
            data = data[self._write_some(data) :]
        if data:
            if not self._waiting:
                self._selector.register(self._stdin, selectors.EVENT_WRITE, self._write)
            self._waiting.append(data)

    def _write_some(self, data: bytes) -> int:
        try:
            return os.write(self._stdin.fileno(), data)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            raise NodeError(f"{self._command} has ended: {self.log()}") from None

    def _write(self) -> None:
        first = self._waiting.popleft()
        rest = first[self._write_some(first) :]
        if rest:
            self._waiting.appendleft(rest)
        if not self._waiting:
            self._selector.unregister(self._stdin)

    def _read(self) -> None:
        data = os.read(self._stdout.fileno(), _READ)
        if not data:
            self._selector.unregister(self._stdout)
            return
        # The beginning is enough of a line to know what it is.
        *lines, rest = data.split(b"\n")
        for line in lines:
            self.on_line((self._line + line)[:4096])
            self._line = b""
        self._line = (self._line + rest)[:4096]

    def log(self) -> str:
        """What it wrote to standard error."""
        # Not by seeking, which would move the place where the process writes as well.
        return os.pread(self._log.fileno(), _READ, 0).decode(errors="replace")

    def wait_for_uri(self) -> str:
        """The address it says to listen at, on standard error."""

        def said() -> str:
            found = _URI.search(self.log())
            return found.group() if found else ""

        return self._wait_for(said)

    def _wait_for(self, said: Callable[[], str]) -> str:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            uri = said()
            if uri:
                return uri
            self.check()
            turn(self._selector, 0.01)
        raise NodeError(f"{self._command} does not listen: {self.log()}")

    def check(self) -> None:
        """Raises if it has ended."""
        if self._process.poll() is not None:
            raise NodeError(f"{self._command} has ended with {self._process.returncode}: {self.log()}")

    def port(self) -> int:
        """The UDP port it has bound."""
        for _ in range(int(_PATIENCE / 0.02)):
            ports = udp_ports(self._process.pid)
            if ports:
                return ports[0]
            self.check()
            time.sleep(0.02)
        raise NodeError(f"{self._command} has no UDP socket: {self.log()}")

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """Ends it: what was measured is over, so nothing has to be delivered any more."""
        for pipe in (self._stdout, self._stdin):
            with contextlib.suppress(KeyError):
                self._selector.unregister(pipe)
        self._process.kill()
        self._process.wait()
        for file in (self._stdin, self._stdout, self._log):
            file.close()


def turn(selector: selectors.BaseSelector, timeout: float) -> None:
    """Serves every pipe that is ready, waiting at most `timeout` seconds for one."""
    for key, _events in selector.select(timeout):
        # A callback may have unregistered another one of the same round.
        if key.fileobj in {k.fileobj for k in selector.get_map().values()}:
            key.data()


def udp_ports(pid: int) -> list[int]:
    """Local UDP ports of a process."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    ports = []
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            fields = row.split()
            if fields[9] in inodes:
                ports.append(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


class Chat(Process):
    """`b4ae chat` or `b4ae send -`: a line is a message."""

    def __init__(self, selector: selectors.BaseSelector, command: list[str], home: Path) -> None:
        super().__init__(selector, command, home)
        self.on_message: Callable[[bool], None] = ignore

    def say(self, length: int, asks: bool = False) -> None:
        """Sends a line of so many bytes."""
        self.write((b"?" if asks else b"x") + b"x" * (length - 1) + b"\n")

    def on_line(self, line: bytes) -> None:
        """A message that arrived."""
        self.on_message(line.startswith(b"?"))


class Server(Process):
    """`b4ae serve --json`: says where it listens, and what it hears is not looked at."""

    def __init__(self, selector: selectors.BaseSelector, command: list[str], home: Path) -> None:
        super().__init__(selector, command, home)
        self._uri = ""

    def on_line(self, line: bytes) -> None:
        """The first line has its address."""
        found = None if self._uri else re.search(rb"b4ae://[^\"]+", line)
        if found:
            self._uri = found.group().decode()

    def wait_for_uri(self) -> str:
        """The address it listens at."""
        return self._wait_for(lambda: self._uri)


class Nobody:
    """The other end of a session with a server: it confirms, and says nothing."""

    def __init__(self) -> None:
        self.on_message: Callable[[bool], None] = ignore

    def say(self, length: int, asks: bool = False) -> None:
        """Nothing."""


class Peer(Process):
    """`b4ae-lab-peer`: knows when its messages were handed over and confirmed."""

    def __init__(self, selector: selectors.BaseSelector, command: list[str], home: Path) -> None:
        super().__init__(selector, command, home)
        self.on_message: Callable[[bool], None] = ignore
        #: Nanoseconds since 1970 at which each message was handed over, in the order they were.
        self.sent: list[int] = []
        #: The same, of its confirmation.
        self.delivered: list[int] = []
        self._uri = ""

    def say(self, length: int, asks: bool = False) -> None:
        """Sends a message of so many bytes."""
        self.write(f"{'?' if asks else ''}{length}\n".encode())

    def on_line(self, line: bytes) -> None:
        """Something it tells."""
        word, *rest = line.decode().split()
        if word == "received":
            self.on_message(rest[0].startswith("?"))
        elif word == "sent":
            self.sent.append(int(rest[1]))
        elif word == "delivered":
            self.delivered.append(int(rest[1]))
        elif word == "listening":
            self._uri = rest[0]

    def wait_for_uri(self) -> str:
        """The address it says to listen at."""
        return self._wait_for(lambda: self._uri)


class Plain:
    """Plain forwarding: a message leaves at once, in datagrams of 1200 bytes, and nothing else does."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.on_message: Callable[[bool], None] = ignore
        self._selector = selector
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._remote: tuple[str, int] | None = None
        selector.register(self._socket, selectors.EVENT_READ, self._read)

    def connect(self, remote: Plain) -> None:
        """Sends to `remote` from now on."""
        self._remote = ("127.0.0.1", remote.port())

    def port(self) -> int:
        """The local port."""
        port: int = self._socket.getsockname()[1]
        return port

    def say(self, length: int, asks: bool = False) -> None:
        """Sends a message of so many bytes."""
        assert self._remote is not None
        cells = -(-length // 1024)
        for cell in range(cells):
            # The last one says that the message is complete, and whether it asks for an answer.
            mark = (b"?" if asks else b".") if cell == cells - 1 else b" "
            with contextlib.suppress(BlockingIOError):
                self._socket.sendto(mark.ljust(1024 + _HEADER), self._remote)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            mark = self._socket.recv(2048)[:1]
            if mark != b" ":
                self.on_message(mark == b"?")

    def stop(self) -> None:
        """Closes the socket."""
        self._selector.unregister(self._socket)
        self._socket.close()
