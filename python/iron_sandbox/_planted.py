"""Files that other programs read unasked: git's hooks, tasks of editors, settings of shells and of agents.

One that is there can be read and not changed (``_view.mask``). One that is not cannot be covered by a mount; what a program
has put there is moved aside when the program has ended, before anybody runs it.
"""

import os

# In each folder that the program may write to.
_KEPT = (".vscode", ".idea", ".devcontainer", ".envrc", ".husky", ".mcp.json", ".claude", ".cursor")
_KEPT_BY_GIT = (".git/hooks", ".git/config", ".git/commondir")
_ASIDE = ".planted"
_MAX_CONFIG = 1 << 16
# What the configuration of a repository may say without making git run something.
_HARMLESS = (
    r"\s*(?:[#;].*"
    r"|\[(?:core|user|init|pull|push|(?:remote|branch|submodule) \"[\w./ -]+\")\]"
    r"|(?:repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks"
    r"|name|email|defaultbranch|rebase|ff|default|url|fetch|pushurl|remote|merge|active)\s*=[^\\]*)?"
)


def kept_in(folder):
    """The paths in a folder that a program may not change."""
    git = os.path.join(folder, ".git")
    # A link or a file names another folder.
    is_elsewhere = os.path.lexists(git) and (os.path.islink(git) or not os.path.isdir(git))
    return [os.path.join(folder, name) for name in _KEPT + ((".git",) if is_elsewhere else _KEPT_BY_GIT)]


class Planted:
    """``paths``: what was not there before is not to be there after."""

    def __init__(self, paths):
        self._missing = [path for path in dict.fromkeys(paths) if not os.path.lexists(path)]

    def move_aside(self):
        """Yields (path, where it is now) of each that is there."""
        for path in self._missing:
            folder = os.path.dirname(path)
            if os.path.basename(folder) == ".git" and (os.path.islink(folder) or os.path.isfile(folder)):
                # It stands for a folder that is somebody else's.
                path = folder
            if os.path.lexists(path) and not _is_harmless(path):
                yield path, _move(path, _free_name(path + _ASIDE))


def _move(path, aside):
    try:
        os.rename(path, aside)
    except PermissionError:
        # A folder of this user's that the program made read-only.
        os.chmod(os.path.dirname(path), 0o700)
        os.rename(path, aside)
    return aside


def _is_harmless(path):
    folder, name = os.path.split(path)
    if os.path.basename(folder) != ".git" or name == "commondir" or os.path.islink(path):
        return False
    try:
        if name == "hooks":
            return all(entry.endswith(".sample") for entry in os.listdir(path))
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_CONFIG)
    except OSError:
        return False
    # Loaded for those that made a repository: a start is faster without.
    import re

    return len(text) < _MAX_CONFIG and all(re.fullmatch(_HARMLESS, line, re.IGNORECASE) for line in text.splitlines())


def _free_name(path):
    name, number = path, 1
    while os.path.lexists(name):
        number += 1
        name = "%s-%d" % (path, number)
    return name
