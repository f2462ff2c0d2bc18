"""A line of so many megabytes, then a short one."""

import sys

megabyte = b"x" * 1_048_576
for _ in range(int(sys.argv[1])):
    sys.stdout.buffer.write(megabyte)
sys.stdout.buffer.write(b"\nafter\n")
