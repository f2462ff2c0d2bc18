"""The built program, which tests start servers with."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "bin" / "iron-cage.cjs"

#: Of a module: run in a folder of its own, with the program and a provider behind it.
NEEDS_PROGRAM = [
    pytest.mark.skipif(
        not (ROOT / "dist" / "iron-cage.mjs").exists(), reason="the program is not built: node scripts/build.mjs"
    ),
    pytest.mark.usefixtures("folder"),
]
