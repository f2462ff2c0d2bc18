"""``python -m iron_sandbox``. Python looks for modules in the working folder first, unless started with -P or -I: what a program
has left there would run out here the next time. So this starts none that may write there."""

import sys

# Before anything else is loaded from there.
folder = None if sys.flags.isolated or getattr(sys.flags, "safe_path", False) else sys.path.pop(0)

from ._main import main  # noqa: E402

sys.exit(main(sys.argv[1:], modules_from=folder))
