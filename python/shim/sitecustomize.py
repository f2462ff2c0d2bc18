"""Iron Cage's own first step in every Python process of an agent.

``iron-cage start`` puts this folder first on PYTHONPATH, so that Python imports this file before the program. The rules:

- The agent must not notice: another ``sitecustomize`` (Debian has one, coverage tools have) still runs, this folder is
  not left on ``sys.path``, and a failure in here is a warning on stderr.
- The folder with ``iron_cage`` goes to the END of ``sys.path``: an SDK that the user installed wins.
- Only ``sys`` and ``os``, which Python has loaded anyway: this runs in every child process too.

Children inherit PYTHONPATH. ``python -I``, ``-E``, ``-S`` and a cleaned environment do not come by here, which is why
this file enforces nothing: the gateway does.
"""

import os
import sys


def _warn(what, error):
    if sys.stderr is not None:
        sys.stderr.write("iron_cage: %s: %s: %s; the program goes on\n" % (what, type(error).__name__, error))


def _offer_sdk(shim):
    sdk = os.path.dirname(shim)
    if sdk not in sys.path:
        sys.path.append(sdk)


def _run_next_sitecustomize(shim):
    ours = sys.modules.pop("sitecustomize")
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != shim]
    try:
        import sitecustomize  # noqa: F401  (the next one on the path; it takes the name from here on)
    except BaseException as error:
        # Python's import of this very module ends in a KeyError if its name is gone.
        sys.modules["sitecustomize"] = ours
        if isinstance(error, ImportError) and error.name == "sitecustomize":
            return
        if not isinstance(error, Exception):
            raise
        _warn("the sitecustomize of this Python failed", error)


try:
    _shim = os.path.dirname(os.path.abspath(__file__))
    _offer_sdk(_shim)
    _run_next_sitecustomize(_shim)
except Exception as _error:
    _warn("the agent's Python was not prepared", _error)
