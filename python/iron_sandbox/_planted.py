"""Files that other programs read unasked: git's hooks, tasks of editors, settings of shells and of agents.

One that is there can be read and not changed (``_view.mask``). One that is not cannot be covered by a mount; what a program
has put there is moved aside when the program has ended, before anybody runs it. So is what it has made or changed of the
repositories below: they are its own to work with, so nothing of theirs is covered.
"""

import os
import time

# In each folder that the program may write to.
_KEPT = (".vscode", ".idea", ".devcontainer", ".envrc", ".husky", ".mcp.json", ".claude", ".cursor")
_RUN_BY_GIT = ("hooks", "config", "config.worktree")
# What a folder has one of when it is a repository, or lacks little to be one for a later program.
_OF_REPOSITORIES = frozenset(("HEAD", "objects", "refs"))
_MAX_SEARCH_SECONDS = 2
# Times of files are coarser than the clock.
_COARSE_SECONDS = 0.1
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
    of_git = [git] if is_elsewhere else [os.path.join(git, name) for name in (*_RUN_BY_GIT, "commondir")]
    return [os.path.join(folder, name) for name in _KEPT] + of_git + _chosen_hooks(folder, git)


def _chosen_hooks(folder, git):
    """The folder of hooks that a repository's configuration names."""
    try:
        with open(os.path.join(git, "config"), encoding="utf-8", errors="replace") as file:
            settings = [line.partition("=") for line in file.read(_MAX_CONFIG).splitlines()]
    except OSError:
        return []
    chosen = [value.strip().strip('"') for name, _, value in settings if name.strip().lower().endswith("hookspath")]
    return [os.path.normpath(os.path.join(folder, os.path.expanduser(path))) for path in chosen]


class Planted:
    """``paths``: what was not there before is not to be there after. ``folders``: where repositories may be made or changed."""

    def __init__(self, paths, folders=()):
        self._missing = [path for path in dict.fromkeys(paths) if not os.path.lexists(path)]
        self._known = set(paths)
        self._folders = folders
        self._begun = time.time() - _COARSE_SECONDS

    def move_aside(self):
        """Yields (path, where it is now) of each that is there."""
        for path in self._missing:
            folder = os.path.dirname(path)
            is_of_git = os.path.basename(folder) == ".git"
            if is_of_git and (os.path.islink(folder) or os.path.isfile(folder)):
                # It stands for a folder that is somebody else's.
                path = folder
            if os.path.lexists(path) and not (is_of_git and _is_harmless(path)):
                yield path, _move(path, _free_name(path + _ASIDE))
        for repository in _repositories(self._folders):
            for path in (os.path.join(repository, name) for name in _RUN_BY_GIT):
                if (
                    not self._is_free(path, repository)
                    and self._is_changed(path, repository)
                    and not _is_harmless(path)
                ):
                    yield path, _move(path, _free_name(path + _ASIDE))

    def _is_free(self, path, repository):
        """Was it looked at before, or is it listed as what the program may change?"""
        return path in self._known or any(
            (path + "/").startswith(folder + "/") and folder.startswith(repository + "/") for folder in self._folders
        )

    def _is_changed(self, path, repository):
        """Has the program made or changed it, or put an older one into a repository that it made?"""
        if any(_changed(each) >= self._begun for each in (path, *_paths_in(path))):
            return True
        whole = (repository, *(os.path.join(repository, name) for name in _OF_REPOSITORIES))
        return os.path.lexists(path) and all(_changed(each) >= self._begun for each in whole)


def _repositories(folders):
    """The folders below that git may take for repositories, as many as are found in the time that there is."""
    end = time.monotonic() + _MAX_SEARCH_SECONDS
    left = list(folders)
    for folder in left:
        if time.monotonic() > end:
            return
        entries = _scan(folder)
        left += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        if os.path.basename(folder) == ".git" or any(entry.name in _OF_REPOSITORIES for entry in entries):
            yield folder


def _scan(folder):
    try:
        return list(os.scandir(folder))
    except PermissionError:
        # Who may not list it may still work in it.
        try:
            os.chmod(folder, 0o700)
            return list(os.scandir(folder))
        except OSError:
            return []
    except OSError:
        return []


def _paths_in(folder):
    return [] if os.path.islink(folder) else [entry.path for entry in _scan(folder)]


def _changed(path):
    """When it was changed last, which nobody can set; 0 for what is not there."""
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return 0


def _move(path, aside):
    try:
        os.rename(path, aside)
    except PermissionError:
        # A folder of this user's that the program made read-only.
        os.chmod(os.path.dirname(path), 0o700)
        os.rename(path, aside)
    return aside


def _is_harmless(path):
    """Does git run nothing because of it?"""
    name = os.path.basename(path)
    if name not in _RUN_BY_GIT or os.path.islink(path):
        return False
    try:
        if name == "hooks":
            # The name of a hook has no dot.
            return all("." in entry.name or entry.is_dir(follow_symlinks=False) for entry in os.scandir(path))
        if os.path.isdir(path):
            return True
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
