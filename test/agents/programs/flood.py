"""A hundred megabytes in lines of a hundred bytes, then the word."""

import sys

block = (b"x" * 99 + b"\n") * 10_000
for _ in range(100):
    sys.stdout.buffer.write(block)
sys.stdout.buffer.flush()
print("done", file=sys.stderr)
