"""Walks the committed test vectors: opens every datagram, and makes it anew from the secrets.

Taken from the vectors are nonces and random filling, and what the library cannot make to order: the ML-KEM ciphertext,
which is decapsulated, and ML-DSA signatures, which are verified. XEdDSA signatures are made anew.
"""

import ipaddress
import json
import unittest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey

from b4ae import cell, identity, rotation, wire, xeddsa
from b4ae.handshake import Direction, Initiator, Responder, Session
from b4ae.identity import Identity
from b4ae.primitives import Refused, stream, uint, xor

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
MODES = {"A": identity.MODE_A, "B": identity.MODE_B}
unhex = bytes.fromhex


def load(name: str) -> dict:
    return json.loads((VECTORS / name).read_text())


def ip_and_port(address: str) -> tuple[bytes, int]:
    host, port = address.rsplit(":", 1)
    ip = ipaddress.ip_address(host.strip("[]"))
    return (bytes(10) + b"\xff\xff" + ip.packed if ip.version == 4 else ip.packed), int(port)


class Walk:
    """One handshake and the cells after it, datagram by datagram, from both sides."""

    def __init__(self, test: unittest.TestCase, vectors: dict):
        self.test, self.vectors = test, vectors
        self.mode = MODES[vectors["mode"]]
        self.drawn = {name: unhex(value) for name, value in vectors["drawn"].items()}
        self.secrets = [
            Identity(unhex(vectors[side]["x25519_secret"]), unhex(vectors[side]["ml_dsa_seed"]))
            for side in ("initiator", "responder")
        ]
        for side, secret in zip(("initiator", "responder"), self.secrets, strict=True):
            fingerprint = secret.fingerprint()
            test.assertEqual(fingerprint.hex(), vectors[side]["fingerprint"])
            test.assertEqual(identity.to_text(fingerprint), vectors[side]["text"])
        self.responder = self.secrets[1].fingerprint()
        self.unread = [(d["from"], d["what"], unhex(d["bytes"])) for d in vectors["datagrams"]]

    def take(self, what: str) -> list[bytes]:
        """The handshake's datagrams so named, in order."""
        taken = [datagram for _, name, datagram in self.unread if name.split()[0] == what]
        self.unread = [entry for entry in self.unread if entry[1].split()[0] != what]
        return taken

    def handshake(self) -> tuple[Session, Session]:
        equal = self.test.assertEqual
        # Hello and Challenge.
        (hello_datagram,) = self.take("Hello")
        knock = wire.Knock.decode(self.responder, hello_datagram)
        hello, offer = knock.header, unhex(self.vectors["offer"])
        equal(wire.hello_header(offer, hello[5:37], hello[37:45]), hello)
        equal(knock.encode(self.responder, hello_datagram[:12]), hello_datagram)
        (challenge_datagram,) = self.take("Challenge")
        equal(challenge_datagram[:8], hello[37:45])
        key = wire.challenge_key(self.responder, hello)
        cookie = wire.open_challenge(key, challenge_datagram)
        text = bytes([wire.CHALLENGE]) + cookie.cookie + cookie.tag + bytes(39)
        sealed = wire.seal_datagram(key, hello[37:45], challenge_datagram[8:20], text)
        equal(sealed + challenge_datagram[132:], challenge_datagram)
        ip, port = ip_and_port(self.vectors["initiator"]["address"])
        issued = wire.issue(self.drawn["cookie_master"], cookie.cookie[:16], ip, port, wire.hello_hash(hello))
        equal(issued.cookie + issued.tag, cookie.cookie + cookie.tag)

        # Init.
        me = Initiator(self.secrets[0], self.responder, offer, self.drawn["e_i"], self.drawn["e1_seed"], hello)
        init = me.init(cookie)
        headers = wire.init_headers(hello, cookie, cookie.solve(self.responder), 0, init)
        parts = wire.chunks(init, wire.INIT_CHUNK)
        for header, part, datagram in zip(headers, parts, self.take("Init"), strict=True):
            made = wire.Knock(header, part, b"").encode(self.responder, datagram[:12], cookie.tag)
            equal(made, datagram)
            self.test.assertTrue(wire.mac2_is_right(datagram, cookie.tag))

        # Response: read as the initiator, and made as the responder.
        key = wire.response_key(cookie)
        response_datagrams = self.take("Response")
        response = self.assemble(wire.RESPONSE, key, response_datagrams)
        me.read_response(response)
        schedule = {step["name"]: step for step in self.vectors["key_schedule"]}
        ciphertext = unhex(schedule["EncryptAndHash(ct)"]["input"])
        secret = MLKEM1024PrivateKey.from_seed_bytes(self.drawn["e1_seed"]).decapsulate(ciphertext)
        answer = unhex(schedule["EncryptAndHash(answer)"]["input"])
        peer = Responder(
            self.secrets[1], cookie, self.mode, self.drawn["e_r"], me.peer_connection_id, (secret, ciphertext)
        )
        # A signature is random; everything around it is not.
        equal(peer.response(init, answer[16:]), response)
        self.reseal(key, me.connection_id, wire.sealed_texts(wire.RESPONSE, response), response_datagrams)
        keys = self.vectors["finish_key"], self.vectors["status_key"]
        for side in (me, peer):
            equal((side.finish_key.hex(), side.status_key.hex()), keys)

        # Finish, likewise.
        finish_datagrams = self.take("Finish")
        finish = self.assemble(wire.FINISH, me.finish_key, finish_datagrams)
        proof = unhex(schedule["EncryptAndHash(proof)"]["input"])
        equal(me.finish(proof[16:]), finish)
        self.reseal(me.finish_key, me.peer_connection_id, wire.sealed_texts(wire.FINISH, finish), finish_datagrams)
        theirs, block = peer.read_finish(finish)
        equal(block, self.secrets[0].block())

        for transcript in (me.transcript, peer.transcript):
            self.compare_schedule(transcript.steps)
        return me.session, theirs

    def assemble(self, kind: int, key: bytes, datagrams: list[bytes]) -> bytes:
        assembly = wire.Assembly(kind)
        found = [assembly.add(wire.open_datagram(key, datagram)) for datagram in datagrams]
        self.test.assertEqual(found[:-1], [None] * (len(datagrams) - 1))
        return found[-1]

    def reseal(self, key: bytes, connection_id: bytes, texts: list[bytes], datagrams: list[bytes]) -> None:
        made = [
            wire.seal_datagram(key, connection_id, datagram[8:20], text)
            for text, datagram in zip(texts, datagrams, strict=True)
        ]
        self.test.assertEqual(made, datagrams)

    def compare_schedule(self, steps: list[tuple[bytes, bytes, bytes]]) -> None:
        made = [tuple(value.hex() for value in step) for step in steps]
        given = [(step["h"], step["ck"], step.get("k", "")) for step in self.vectors["key_schedule"]]
        self.test.assertEqual(made, given)

    def session(self, session: Session) -> None:
        given = self.vectors["session"]
        self.test.assertEqual((session.id.hex(), session.root.hex()), (given["id"], given["root"]))
        self.test.assertEqual(session.export(unhex(given["exporter_label"])).hex(), given["exporter"])
        for name, keys in (("i2r", session.i2r), ("r2i", session.r2i)):
            made = keys.chain.hex(), keys.header.hex(), keys.connection_id.hex()
            self.test.assertEqual(made, tuple(given[name].values()))

    def cells(self, session: Session) -> dict[tuple[str, int], bytes]:
        """Opens every cell, seals it again from what was read, and puts the messages together."""
        messages: dict[tuple[str, int], bytes] = {}
        for side, keys in (("initiator", session.i2r), ("responder", session.r2i)):
            receiver, chain = cell.Receiver(keys), cell.Chain(keys.chain)
            for count, datagram in enumerate(self.cells_from(side)):
                counter, plain = receiver.open(datagram)
                self.test.assertEqual(counter, count)
                control, fragment = cell.Control.decode(plain), cell.Fragment.decode(plain[128:])
                again = cell.seal_cell(keys, next(chain), counter, cell.text(control, fragment))
                self.test.assertEqual(again, datagram)
                with self.test.assertRaises(Refused):
                    receiver.open(datagram)
                if fragment:
                    self.test.assertEqual(fragment.count, cell.padded_cells(fragment.length))
                    key = side, fragment.message
                    messages[key] = messages.get(key, b"") + fragment.data
        return messages

    def cells_from(self, side: str) -> list[bytes]:
        return [datagram for source, what, datagram in self.unread if source == side and what.startswith("Cell")]


class Handshakes(unittest.TestCase):
    def walk(self, file: str) -> None:
        vectors = load(file)
        walk = Walk(self, vectors)
        sessions = walk.handshake()
        for session in sessions:
            walk.session(session)
            found = walk.cells(session)
            given = {(m["from"], m["number"]): unhex(m["text"]) for m in vectors["messages"]}
            self.assertEqual(found, given)
        self.assertTrue(all(what.startswith("Cell") for _, what, _ in walk.unread), "every datagram was read")

    def test_mode_a(self) -> None:
        self.walk("mode-a.json")

    def test_mode_b(self) -> None:
        self.walk("mode-b.json")


class Parts(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.parts = load("parts.json")

    def test_identities(self) -> None:
        for given in self.parts["identities"]:
            seed = given["ml_dsa_seed"]
            secret = Identity(unhex(given["x25519_secret"]), seed and unhex(seed))
            block = secret.block()
            self.assertEqual(block.x25519.hex(), given["x25519"])
            self.assertEqual(block.ml_dsa.hex(), given["ml_dsa_hash"])
            self.assertEqual(block.fingerprint().hex(), given["fingerprint"])
            self.assertEqual(identity.to_text(block.fingerprint()), given["text"])
            self.assertEqual(identity.from_text(given["text"].upper()), block.fingerprint())
            with self.assertRaises(Refused):
                identity.from_text(given["text"][::-1])

    def test_cookies(self) -> None:
        for given in self.parts["cookies"]:
            terms = uint(given["time"], 4) + unhex(given["nonce"])
            terms += bytes([given["puzzle_bits"], given["accepted"]])
            ip, port = ip_and_port(given["address"])
            cookie = wire.issue(unhex(given["master"]), terms, ip, port, unhex(given["hello_hash"]))
            self.assertEqual(cookie.cookie.hex(), given["cookie"])
            self.assertEqual(cookie.tag.hex(), given["tag"])

    def test_the_puzzle(self) -> None:
        given = self.parts["puzzle"]
        cookie = wire.Cookie(bytes(14) + bytes([given["bits"]]) + bytes(9), unhex(given["cookie_tag"]))
        self.assertEqual(cookie.solve(unhex(given["fingerprint"])), given["smallest_solution"])

    def test_the_status(self) -> None:
        given = self.parts["status"]
        datagram = unhex(given["datagram"])
        text = bytes([wire.STATUS, 0]) + uint(given["finish_fragments"], 2) + bytes(4) + unhex(given["finish_tag"])
        made = wire.seal_datagram(
            unhex(given["key"]), unhex(given["connection_id"]), datagram[8:20], text.ljust(1164, b"\0")
        )
        self.assertEqual(made, datagram)

    def test_the_chain(self) -> None:
        given = self.parts["chain"]
        keys = {entry["counter"]: entry["key"] for entry in given["keys"]}
        stepped = cell.Chain(unhex(given["first"]))
        self.assertEqual({n: k.hex() for n in range(601) if (k := next(stepped)) and n in keys}, keys)
        for counter, key in keys.items():
            skipped = cell.Chain(unhex(given["first"]))
            skipped.skip_to(counter)
            self.assertEqual(next(skipped).hex(), key)

    def test_cells(self) -> None:
        for given in self.parts["cells"]:
            with self.subTest(given["what"]):
                keys = Direction(*(unhex(given[n]) for n in ("first_chain_key", "header_key", "connection_id")))
                datagram, text = unhex(given["datagram"]), unhex(given["text"])
                counter, opened = cell.Receiver(keys).open(datagram)
                self.assertEqual((counter, opened), (given["counter"], text))
                self.assertEqual(stream(keys.header, datagram[1184:1196], 32).hex(), given["mask"])
                self.assertEqual(xor(datagram[8:16], unhex(given["mask"])[:8]).hex(), given["header"])
                control, fragment = cell.Control.decode(text), cell.Fragment.decode(text[128:])
                self.assertEqual(cell.text(control, fragment), text)
                self.assertEqual(cell.seal_cell(keys, unhex(given["cell_key"]), counter, text), datagram)

    def test_padding(self) -> None:
        for given in self.parts["padding"]:
            self.assertEqual(cell.padded_cells(given["length"]), given["cells"], given["length"])

    def test_a_uri(self) -> None:
        text = self.parts["identities"][0]["text"]
        fingerprint = identity.from_text(text)
        self.assertEqual(identity.parse_uri(f"b4ae://[::1]:7/#{text}"), ("::1", 7, fingerprint))
        self.assertEqual(identity.parse_uri(f"b4ae://example.org:65535#{text}"), ("example.org", 65535, fingerprint))
        for wrong in ("b4ae://example.org#", "b4ae://:7#", "b4ae://a b:7#", "b4ae://host:0#", "b4ae://host:65536#"):
            with self.assertRaises(Refused):
                identity.parse_uri(wrong + text)


class Rotations(unittest.TestCase):
    def test_the_statements(self) -> None:
        for given in load("rotation.json"):
            with self.subTest(given["what"]):
                statement = unhex(given["statement"])
                fingerprints = unhex(given["old"]["fingerprint"]), unhex(given["new"]["fingerprint"])
                expected = rotation.Rotation(*fingerprints, given["from"], given["until"])
                self.assertEqual(rotation.read(statement), expected)
                body, keys, signatures = rotation.split(statement)
                for side, role, (public, v), (classical, _) in zip(
                    ("old", "new"), rotation.ROLES, keys, signatures, strict=True
                ):
                    seed = given[side]["ml_dsa_seed"]
                    secret = Identity(unhex(given[side]["x25519_secret"]), seed and unhex(seed))
                    self.assertEqual(secret.fingerprint().hex(), given[side]["fingerprint"])
                    self.assertEqual(secret.block().x25519, public)
                    self.assertEqual(v, seed and secret.signer().public_key().public_bytes_raw())
                    signed = rotation.message(role, body)
                    random = unhex(given[side]["xeddsa_random"])
                    self.assertEqual(xeddsa.sign(secret.x25519, signed, random), classical)
                    # It is one of Ed25519's, as the library has that.
                    key = xeddsa.encode(xeddsa.ed25519_key(public))
                    Ed25519PublicKey.from_public_bytes(key).verify(classical, signed)
                for at in (0, 16, 17, 25, 33, 65, len(body), len(statement) - 1):
                    changed = bytearray(statement)
                    changed[at] ^= 1
                    with self.assertRaises(Refused):
                        rotation.read(bytes(changed))
                for at in (65, 96, len(body) - (1 if keys[1][1] is None else 2593)):
                    changed = bytearray(statement)
                    changed[at] ^= 1
                    with self.assertRaisesRegex(Refused, "ML-KEM"):
                        rotation.read(bytes(changed))
                for wrong in (statement[:-1], statement + b"\0"):
                    with self.assertRaises(Refused):
                        rotation.read(wrong)


if __name__ == "__main__":
    unittest.main()
