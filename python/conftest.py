"""The fixtures of the package beside the tests, whether or not one is installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["iron_cage.testing"]
