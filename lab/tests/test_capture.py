"""The capture, on this machine's loopback interface."""

from __future__ import annotations

import socket
import tempfile
import time
import unittest
from pathlib import Path

from b4ae_lab.capture import Capture, CaptureError


class Captures(unittest.TestCase):
    """`Capture`."""

    def test_it_has_time_ports_and_length_of_each_datagram_once(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            try:
                capture = Capture(Path(directory) / "capture.npy")
            except CaptureError as error:
                self.skipTest(str(error))
            with socket.socket(type=socket.SOCK_DGRAM) as here, socket.socket(type=socket.SOCK_DGRAM) as there:
                there.bind(("127.0.0.1", 0))
                here.connect(there.getsockname())
                before = time.time_ns()
                for length in (1, 1200, 30_000):
                    here.send(b"x" * length)
                after = time.time_ns()
                source, destination = here.getsockname()[1], there.getsockname()[1]
                records = capture.stop()
            mine = records[records["destination"] == destination]
            self.assertEqual(mine["length"].tolist(), [1, 1200, 30_000])
            self.assertEqual(set(mine["source"].tolist()), {source})
            self.assertGreaterEqual(int(mine["time"][0]), before)
            self.assertLessEqual(int(mine["time"][-1]), after)


if __name__ == "__main__":
    unittest.main()
