"""Blocks on disk: what was drawn, what was captured, and which of them there are already."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .plan import Block, load
from .samples import Recording
from .size import Size


class Store:
    """A directory with the blocks of one experiment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def agree(self, seed: int, profile: str, size: Size) -> None:
        """Makes sure that what is here already is of the same experiment."""
        design = {"seed": seed, "profile": profile, "size": asdict(size)}
        path = self.directory / "design.json"
        if not path.exists():
            path.write_text(json.dumps(design, indent=1))
            return
        found = json.loads(path.read_text())
        # Sizes that were written before there were more of their fields have the others' defaults.
        if {**found, "size": asdict(Size(**found["size"]))} != design:
            raise SystemExit(f"{self.directory} has another experiment; take another --directory, or remove it")

    def has(self, number: int) -> bool:
        """Whether this block has been run."""
        return self._description(number).exists()

    def save(self, block: Block, records: NDArray[np.void]) -> None:
        """Keeps a block. What was interrupted before its end leaves no description, and is run again."""
        np.savez_compressed(self.directory / f"block-{block.number:04}.npz", records=records)
        self._description(block.number).write_text(json.dumps(block.as_dict()))

    def recordings(self) -> list[Recording]:
        """All blocks, in order."""
        found = []
        for description in sorted(self.directory.glob("block-*.json")):
            with np.load(description.with_suffix(".npz")) as file:
                found.append(Recording(load(json.loads(description.read_text())), file["records"]))
        return found

    def write(self, name: str, what: dict[str, Any]) -> Path:
        """Writes results as JSON."""
        path = self.directory / name
        path.write_text(json.dumps(what, indent=1))
        return path

    def read(self, name: str) -> dict[str, Any]:
        """Reads what `write` wrote."""
        found: dict[str, Any] = json.loads((self.directory / name).read_text())
        return found

    def _description(self, number: int) -> Path:
        return self.directory / f"block-{number:04}.json"
