"""A live session with a running `b4ae serve`."""

import json
import os
import random
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from b4ae.identity import MODE_A, MODE_B, Identity, to_text
from b4ae.peer import Peer

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("B4AE", ROOT / "target/debug/b4ae")


class Node:
    """A `b4ae` that listens, with a key of its own, and what it prints."""

    def __init__(self, test: unittest.TestCase, *command: str) -> None:
        home = tempfile.TemporaryDirectory()
        test.addCleanup(home.cleanup)
        key = Path(home.name, "identity.key")
        subprocess.run([BINARY, "keygen", "--output", key], check=True, capture_output=True)
        listen = [BINARY, *command, "--listen", "127.0.0.1:0", "--key", key]
        self.process = subprocess.Popen(
            listen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        test.addCleanup(self.stop)

    def event(self, name: str) -> dict:
        found = json.loads(self.process.stdout.readline())
        assert found["event"] == name, found
        return found

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


class Lossy:
    """A socket that loses a quarter of what it sends and of what it receives."""

    def __init__(self, inner: socket.socket, seed: int) -> None:
        # One stream a direction: what becomes of the n-th datagram does not depend on how the two interleave.
        self._inner, self._sending, self._receiving = inner, random.Random(seed), random.Random(seed + 1000)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def send(self, datagram: bytes) -> None:
        if self._sending.random() >= 0.25:
            self._inner.send(datagram)

    def recv(self, size: int) -> bytes:
        while True:
            datagram = self._inner.recv(size)
            if self._receiving.random() >= 0.25:
                return datagram


class LivePeer(unittest.TestCase):
    def setUp(self) -> None:
        self.identity = Identity(os.urandom(32), os.urandom(32))

    def talk(self, mode: int, seed: int | None = None) -> None:
        node = Node(self, "serve", "--sessions", "4", "--json")
        (uri,) = node.event("listening")["uris"]
        with Peer(self.identity, uri, bytes([mode])) as peer:
            if seed is not None:
                peer.socket = Lossy(peer.socket, seed)
            peer.connect()
            opened = node.event("session_opened")
            self.assertEqual(opened["peer"], to_text(self.identity.fingerprint()))
            self.assertEqual(opened["mode"], {MODE_A: "a", MODE_B: "b"}[mode])
            # The long one takes more than a generation of the chain.
            for text in ("from another implementation", "all of it " * 30_000, ""):
                peer.send(text.encode(), timeout=60)
                self.assertEqual(node.event("message")["text"], text)
            peer.close()
            self.assertEqual(node.event("session_closed")["peer"], opened["peer"])

    def test_a_session_in_mode_a(self) -> None:
        self.talk(MODE_A)

    def test_a_session_in_mode_b(self) -> None:
        self.talk(MODE_B)

    def test_sessions_over_a_lossy_network(self) -> None:
        for seed, mode in enumerate((MODE_A, MODE_B)):
            with self.subTest(mode=mode, seed=seed):
                self.talk(mode, seed)

    def test_messages_both_ways(self) -> None:
        node = Node(self, "chat")
        uri = node.process.stderr.readline().split()[-1]
        with Peer(self.identity, uri, bytes([MODE_B, MODE_A])) as peer:
            peer.connect()
            for line in ("is anybody there", "of more than one cell " * 300):
                node.process.stdin.write(line + "\n")
                node.process.stdin.flush()
                self.assertEqual(peer.receive().decode(), line)
                peer.send(line[::-1].encode())
                self.assertEqual(node.process.stdout.readline().strip(), line[::-1].strip())
            peer.close()


if __name__ == "__main__":
    unittest.main()
