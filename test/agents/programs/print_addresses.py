"""So many lines with an address each."""

import sys

for number in range(int(sys.argv[1])):
    print(f"person{number}@example.org wrote")
