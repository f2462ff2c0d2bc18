"""Runs the tests of a module in several processes, as most of them wait: ``python in_parallel.py test_sandbox``.

Prints what failed and how many ran; exits 1 if one failed or none ran.
"""

from __future__ import annotations

import io
import multiprocessing
import sys
import unittest
from collections.abc import Iterator

WORKERS = 4


def names_in(suite: unittest.TestSuite) -> Iterator[str]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from names_in(test)
        else:
            yield test.id()


def run(name: str) -> tuple[int, str]:
    """Returns the number of tests that ran without being skipped, and the failures."""
    output = io.StringIO()
    result = unittest.TextTestRunner(output).run(unittest.defaultTestLoader.loadTestsFromName(name))
    return result.testsRun - len(result.skipped), "" if result.wasSuccessful() else output.getvalue()


def main(module: str) -> int:
    # Imported before the workers are forked, so that they need not.
    names = list(names_in(unittest.defaultTestLoader.loadTestsFromName(module)))
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        results = list(pool.imap_unordered(run, names, chunksize=1))
    faults = [fault for _, fault in results if fault]
    print("\n".join([*faults, "Ran %d tests, %d failed" % (sum(count for count, _ in results), len(faults))]))
    return 1 if faults or not any(count for count, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
