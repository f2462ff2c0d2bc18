"""Cleans up as it would at Ctrl-C: prints goodbye and exits with 0."""

import atexit
import time

atexit.register(print, "goodbye")
try:
    print("ready")
    while True:
        time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
