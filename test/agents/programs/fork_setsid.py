"""Twenty children that leave group and session and ignore SIGINT and SIGTERM; half of them lose their parent as well."""

import os
import signal
import sys
import time


def say(word):
    # In one piece: print writes the newline by itself when unbuffered, and others write meanwhile.
    os.write(1, word.encode() + b"\n")


def run_away():
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    say("away")
    while True:
        time.sleep(60)


for number in range(20):
    if os.fork() == 0:
        if number % 2 == 0 or os.fork() == 0:
            run_away()
        os._exit(0)

say("ready")
if "--exit" in sys.argv:
    sys.exit(0)
while True:
    time.sleep(60)
