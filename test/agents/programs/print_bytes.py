"""Writes the bytes it is given in hexadecimal."""

import sys

sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))
