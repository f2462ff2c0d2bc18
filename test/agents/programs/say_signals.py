"""Prints the signals it gets and ends at SIGTERM."""

import signal
import sys
import time


def say(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM:
        sys.exit(0)


for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, say)
print("ready", flush=True)
while True:
    # Short: a signal that comes in the very moment before a sleep is taken after it.
    time.sleep(0.1)
