"""Runs a block: starts its processes, lets them behave as drawn, and keeps what was captured."""

from __future__ import annotations

import os
import random
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import plan
from .behaviours import Actor, Clock
from .capture import Capture
from .nodes import Chat, Nobody, NodeError, Peer, Plain, Process, Server, turn
from .plan import Block, Cells, Pair
from .profiles import node_options, peer_options
from .size import Size

#: What an active adversary does to both directions of a session, in the words of `b4ae-impair`.
IMPAIRMENTS = {
    "drop": ["--loss", "12%"],
    "delay": ["--delay", "20ms", "--jitter", "60ms"],
    "reorder": ["--reorder", "20%", "--reorder-by", "35ms"],
    "hold": [],
}
#: When in a segment the one who holds back begins to, and for how long; then all of it goes on at once. Seconds.
_HOLD = (2.0, 0.6)
#: What the application of a session whose loop it shares computes before each message, in mean gaps between its cells.
_WORK = 3
#: How often the insider probes, in the mean: in seconds, or where that is more, in mean gaps between its cells.
_PROBE_EVERY = (0.25, 3)
#: How long sessions may take to open: in seconds, and in groups of cells.
_OPENING = (30.0, 4)
_ANSWERS = re.compile(r"talking with")


@dataclass(frozen=True)
class Programs:
    """Where the programs are, and the options that choose the traffic."""

    directory: Path
    profile: str
    size: Size
    #: Whether the nodes may run their loops at real-time priority, if the laboratory may.
    real_time: bool = True

    def command(self, name: str, *options: str) -> list[str]:
        """The command line of one of them."""
        without = [] if self.real_time else ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice"]
        return [*without, str(self.directory / name), *options]

    def chat(self, *options: str) -> list[str]:
        """A `b4ae chat` with the traffic to be examined."""
        return self.command("b4ae", "chat", "--mode", "a", *node_options(self.profile, self.size), *options)

    def peer(self, *options: str) -> list[str]:
        """The laboratory's own peer."""
        return self.command("b4ae-lab-peer", *options)


class Stage:
    """Everything that runs in one block."""

    def __init__(self, programs: Programs, block: Block, scratch: Path) -> None:
        self._programs, self._block, self._scratch = programs, block, scratch
        self._selector = selectors.DefaultSelector()
        self._clock = Clock()
        self._processes: list[Process] = []
        self._stack = ExitStack()
        self._opening: list[Process] = []
        self._holding: list[Process] = []
        self._home = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    def run(self) -> NDArray[np.void]:
        """Runs the block to its end, and returns what was captured. The block then says what was where."""
        block = self._block
        with self._stack:
            capture = Capture(self._scratch)
            actors = [self._pair(pair) for pair in block.pairs]
            servers = [self._server(server) for server in block.servers]
            cells = [self._cells(cells) for cells in block.cells]
            self._wait_until_open()
            start = time.monotonic() + 1.0
            block.start = time.time_ns() + 1_000_000_000
            load = [os.getloadavg()[0]]
            busy = _busy()
            self._schedule(start, actors, servers, cells)
            end = start + block.segments * block.size.pitch
            while time.monotonic() < end:
                turn(self._selector, min(self._clock.run_due(), max(0.0, end - time.monotonic())))
            for process in self._processes:
                process.check()
            for (_, insider), server in zip(servers, block.servers, strict=True):
                server.probes = list(zip(insider.sent, insider.delivered, strict=False))
            for peer, these in zip(cells, block.cells, strict=True):
                said = [full for _, full in these.windows if full]
                these.sent = list(zip(peer.sent, said, strict=False))
            ours = sum(process.cpu_seconds() for process in self._processes)
            seconds = end - start
            block.machine = {
                "load": [*load, os.getloadavg()[0]],
                "processors": os.cpu_count(),
                "busy": [round(b - a, 2) for a, b in zip(busy, _busy(), strict=True)],
                "nodes": round(ours / seconds, 3),
                "seconds": seconds,
                "processes": len(self._processes),
            }
            return capture.stop()

    def _schedule(
        self,
        start: float,
        actors: Sequence[Actor],
        servers: Sequence[tuple[list[Actor], Peer]],
        cells: Sequence[Peer],
    ) -> None:
        size = self._block.size
        for segment in range(self._block.segments):
            at = start + segment * size.pitch
            for pair, actor in zip(self._block.pairs, actors, strict=True):
                actor.perform(pair.labels[segment], at, size)
            for proxy in self._holding:
                when, length = _HOLD
                self._clock.at(at + when, partial(proxy.signal, signal.SIGSTOP))
                self._clock.at(at + when + length, partial(proxy.signal, signal.SIGCONT))
            for server, (clients, _insider) in zip(self._block.servers, servers, strict=True):
                if server.active[segment] >= 0:
                    behaviour = random.Random(f"{server.seed}/{segment}").choice(("chat", "bulk", "bursts"))
                    clients[server.active[segment]].perform(behaviour, at, size)
        for server, (_clients, insider) in zip(self._block.servers, servers, strict=True):
            rng = random.Random(server.seed)
            at, end = start, start + self._block.segments * size.pitch - 1.0
            every = max(_PROBE_EVERY[0], _PROBE_EVERY[1] / size.rate)
            while at < end:
                self._clock.at(at, partial(insider.say, 100))
                at += rng.expovariate(1 / every)
        for these, peer in zip(self._block.cells, cells, strict=True):
            for when, full in these.windows:
                if full:
                    self._clock.at(start + when, partial(peer.say, full * 1024))

    def _keep(self, process: Process) -> None:
        self._processes.append(process)
        self._stack.callback(process.stop)

    def _chat(self, *options: str) -> Chat:
        chat = Chat(self._selector, self._programs.chat(*options), self._home)
        self._keep(chat)
        return chat

    def _peer(self, *options: str) -> Peer:
        peer = Peer(self._selector, self._programs.peer(*options), self._home)
        self._keep(peer)
        return peer

    def _pair(self, pair: Pair) -> Actor:
        rng = random.Random(pair.seed)
        if pair.world == "plain":
            plain_here, plain_there = Plain(self._selector), Plain(self._selector)
            plain_here.connect(plain_there)
            plain_there.connect(plain_here)
            self._stack.callback(plain_here.stop)
            self._stack.callback(plain_there.stop)
            pair.ports = (plain_here.port(), plain_there.port())
            return Actor(self._clock, plain_here, plain_there, rng)
        if pair.world in ("low-overhead", "shared"):
            size = self._block.size
            work = round(_WORK * 1_000_000 / size.rate)
            shared = [*peer_options(size), "--shared", f"--work={work}"]
            options = ["--traffic=low-overhead"] if pair.world == "low-overhead" else shared
            lab_there = self._peer("--listen", "127.0.0.1:0", *options)
            lab_here = self._peer(lab_there.wait_for_uri(), *options)
            pair.ports = (lab_here.port(), lab_there.port())
            return Actor(self._clock, lab_here, lab_there, rng)
        there = self._chat("--listen", "127.0.0.1:0")
        uri = there.wait_for_uri()
        if pair.world in IMPAIRMENTS:
            uri, proxy = self._impaired(uri, pair.seed, IMPAIRMENTS[pair.world])
            if pair.world == "hold":
                self._holding.append(proxy)
        here = self._chat(uri)
        self._opening.append(here)
        pair.ports = (here.port(), there.port())
        return Actor(self._clock, here, there, rng)

    def _impaired(self, uri: str, seed: int, impairment: list[str]) -> tuple[str, Process]:
        """The address of the same node by way of a proxy, and the proxy."""
        address, fingerprint = uri.removeprefix("b4ae://").split("#")
        command = self._programs.command(
            "b4ae-impair", "--listen", "127.0.0.1:0", "--to", address, "--seed", str(seed), *impairment
        )
        proxy = Process(self._selector, command, self._home)
        self._keep(proxy)
        return f"b4ae://127.0.0.1:{proxy.port()}#{fingerprint}", proxy

    def _server(self, server: plan.Server) -> tuple[list[Actor], Peer]:
        key = self._home / f"{server.seed}.b4ae-key"
        subprocess.run(self._programs.command("b4ae", "keygen", "-o", str(key)), check=True, capture_output=True)
        command = self._programs.command("b4ae", "serve", "--mode", "a", "--json", "--listen", "127.0.0.1:0")
        command += ["--key", str(key), *node_options(self._programs.profile, self._block.size)]
        if self._block.size.schedule == "burst":
            # A full house's groups have to fit into a period.
            command.append(f"--sessions={server.clients + 1}")
        node = Server(self._selector, command, self._home)
        self._keep(node)
        uri = node.wait_for_uri()
        clients = [self._chat(uri) for _ in range(server.clients)]
        self._opening += clients
        insider = self._peer(uri, *peer_options(self._block.size))
        server.port = node.port()
        server.client_ports = [client.port() for client in clients]
        server.insider_port = insider.port()
        rng = random.Random(server.seed)
        return [Actor(self._clock, client, Nobody(), rng) for client in clients], insider

    def _cells(self, cells: Cells) -> Peer:
        options = peer_options(self._block.size)
        there = self._peer("--listen", "127.0.0.1:0", *options)
        here = self._peer(there.wait_for_uri(), *options)
        cells.ports = (here.port(), there.port())
        return here

    def _wait_until_open(self) -> None:
        patience = _OPENING[0] + _OPENING[1] * self._block.size.period
        deadline = time.monotonic() + patience
        waiting = self._opening
        while waiting:
            if time.monotonic() > deadline:
                raise NodeError(f"no session within {patience} s: {waiting[0].log()}")
            turn(self._selector, 0.1)
            for process in waiting:
                process.check()
            waiting = [process for process in waiting if not _ANSWERS.search(process.log())]


def _busy() -> list[float]:
    """Seconds each state has taken of all processors: user, nice, system, idle, iowait, irq, softirq, steal."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    return [int(field) / os.sysconf("SC_CLK_TCK") for field in fields]
