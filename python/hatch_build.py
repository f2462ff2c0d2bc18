"""Files that the wheel carries beside the package: the program for one platform, or a script that reports a missing
one."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProgramHook(BuildHookInterface):  # type: ignore[type-arg]
    """``IRON_CAGE_PROGRAM`` names the executable, ``IRON_CAGE_PLATFORM`` its platform tag, ``IRON_CAGE_SBOM`` its bill of
    materials; without them the wheel is pure."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        program = os.environ.get("IRON_CAGE_PROGRAM")
        build_data["shared_scripts"] = {program or "no_program.py": "iron-cage"}
        if program:
            build_data["pure_python"] = False
            build_data["tag"] = "py3-none-" + os.environ["IRON_CAGE_PLATFORM"]
            build_data["sbom_files"] = [os.environ["IRON_CAGE_SBOM"]]
