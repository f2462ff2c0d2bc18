"""Ends by itself a moment later, as an agent does that was refused a call."""

import sys
import time

print("ready", flush=True)
time.sleep(1)
sys.exit(7)
