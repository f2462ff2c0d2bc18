"""Twenty children that leave group and session and ignore SIGTERM; half of them lose their parent as well."""
import os
import signal
import sys
import time


def run_away():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"away\n")
    while True:
        time.sleep(60)


for number in range(20):
    if os.fork() == 0:
        if number % 2 == 0 or os.fork() == 0:
            run_away()
        os._exit(0)

print("ready")
if "--exit" in sys.argv:
    sys.exit(0)
while True:
    time.sleep(60)
