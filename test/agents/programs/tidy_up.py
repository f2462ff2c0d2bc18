"""Takes SIGTERM as it is meant: says goodbye and exits with 0."""

import signal
import sys
import time


def goodbye(signum, frame):
    print("goodbye")
    sys.exit(0)


signal.signal(signal.SIGTERM, goodbye)
print("ready")
while True:
    # Short: a signal that comes in the very moment before a sleep is taken after it.
    time.sleep(0.1)
