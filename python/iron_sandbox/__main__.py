"""``python -m iron_sandbox``. Unless started with -P or -I, Python looks for modules in the working folder first: modules that a
program has left there would run outside the sandbox the next time. So programs that may write there are refused."""

import sys

# Before any module is loaded from there.
folder = None if sys.flags.isolated or getattr(sys.flags, "safe_path", False) else sys.path.pop(0)

from ._main import main  # noqa: E402

sys.exit(main(sys.argv[1:], modules_from=folder))
