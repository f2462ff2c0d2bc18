"""Runs itself again with an empty environment."""

import os
import sys
import time

if os.environ.get("IRON_CAGE_AGENT_ID"):
    os.execve(sys.executable, [sys.executable, "-u", __file__], {})
print("clean")
while True:
    time.sleep(60)
