"""Prints 1, 2, 3 … every twentieth of a second."""

import itertools
import time

for number in itertools.count(1):
    print(number)
    time.sleep(0.05)
