"""Uses up one resource for the number of seconds in its second argument, or until it is stopped. Bounded by itself as well:
300 processes, 2 GB of memory, 512 MB of disk."""

import os
import sys
import time

kind, seconds = sys.argv[1], float(sys.argv[2])
end = time.monotonic() + seconds


def burn():
    while time.monotonic() < end:
        pass


def in_children(count, work):
    made = 0
    for _ in range(count):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            work()
            os._exit(0)
        made += 1
    ends = [os.wait()[1] for _ in range(made)]
    return made, sum(os.WIFSIGNALED(status) for status in ends)


def hold():
    held = []
    while time.monotonic() < end and len(held) < 20:
        held.append(b"x" * (16 << 20))
        time.sleep(0.05)
    time.sleep(max(0.0, end - time.monotonic()))


def fill():
    written = 0
    try:
        with open("filled", "wb", 0) as file:
            while time.monotonic() < end and written < 512:
                file.write(bytes(1 << 20))
                written += 1
    except OSError as error:
        print("stopped by", error.strerror, flush=True)
    print(written, "MB written", flush=True)
    os.unlink("filled")


if kind == "processor":
    print("%d processes, %d killed" % in_children(8, burn), flush=True)
elif kind == "processes":
    print("%d processes, %d killed" % in_children(300, burn), flush=True)
elif kind == "memory":
    print("%d processes, %d killed" % in_children(6, hold), flush=True)
else:
    while time.monotonic() < end:
        fill()
