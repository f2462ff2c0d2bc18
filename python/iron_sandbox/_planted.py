"""Files that other programs load automatically: git hooks, editor tasks, settings of shells and of agents.

An existing one is read-only for the program (``_view.mask``). A missing one cannot be covered by a mount: if the program
creates it, it is moved aside when the program has ended, before another program loads it. No list of such files is
complete, so every new name that begins with a dot is moved aside, unless it is known to hold nothing but data
(``_Dotted``). So are hooks and configurations that the program creates or changes in repositories below its writable
folders: it may work with those repositories, so nothing in them is covered.
"""

import itertools
import os
import stat
import time

from ._files import is_whole, read

# Protected in each folder that the program may write to.
_KEPT = (
    # Editors, and agents in them.
    *(".vscode", ".idea", ".devcontainer", ".zed", ".exrc", ".vimrc", ".nvimrc", ".nvim.lua", ".dir-locals.el"),
    *(".mcp.json", ".claude", ".cursor", ".windsurf", ".gemini", ".codex", ".aider.conf.yml"),
    # Shells and their files in a folder, package managers, hooks, debuggers.
    *(
        ".envrc",
        ".tool-versions",
        ".mise.toml",
        "mise.toml",
        "bunfig.toml",
        ".bashrc",
        ".bash_profile",
        ".profile",
        ".zshrc",
        ".zshenv",
    ),
    *(".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".pypirc", ".netrc", ".husky", ".gdbinit", ".lldbinit"),
)
# New ones stay: state of agents and caches, which nothing loads, lists of files, and versions. ``.git`` is inspected itself.
_DATA = frozenset(
    (
        *(".git", ".iron-sandbox", ".gitignore", ".gitattributes", ".gitkeep", ".keep", ".dockerignore", ".npmignore"),
        *(".prettierignore", ".eslintignore", ".editorconfig", ".nvmrc", ".node-version", ".python-version"),
        *(
            ".env.example",
            ".env.sample",
            ".DS_Store",
            ".coverage",
            ".hypothesis",
            ".nyc_output",
            ".parcel-cache",
            ".turbo",
        ),
        # Builds: users run them as they run the sources, which the program may write as well.
        *(".next", ".nuxt", ".svelte-kit"),
        *(".chroma", ".lancedb", ".qdrant", ".faiss", ".mem0", ".deepeval", ".langgraph_api", ".ipynb_checkpoints"),
    )
)
_DATA_ENDINGS = (
    *("cache", "state", "data", "memory", "history", "checkpoints", "sessions", "storage", "store", "index", "logs"),
    *("db", ".sqlite", ".sqlite3", "-wal", "-shm", "-journal", ".lock", ".log", ".pid", "tmp", "temp", ".bak"),
    *(".csv", ".jsonl", ".parquet", ".npy", ".npz", ".pkl", ".pickle", ".bin"),
)
# Programs that people, and the next start, run by name.
_PROGRAMS = (".venv", "venv", "node_modules/.bin")
_RUN_BY_GIT = ("hooks", "config", "config.worktree")
# A folder with any of these is a repository, or lacks little for a later program to turn it into one.
_OF_REPOSITORIES = frozenset(("HEAD", "objects", "refs"))
_MAX_SEARCH_SECONDS = 2
# Which names are new is known in a writable folder and in the folders directly in it, if there are no more than these.
_MAX_FOLDERS, _MAX_NAMES = 100, 1000
# Packages bring such files along, and no person works in them.
_OF_PACKAGES = frozenset(("node_modules", "site-packages"))
# File timestamps are coarser than the clock.
_COARSE_SECONDS = 0.1
_ASIDE = ".planted"
# Lines in the configuration of a repository that do not make git run anything.
_HARMLESS = (
    r"\s*(?:[#;].*"
    r"|\[(?:core|user|init|pull|push|(?:remote|branch|submodule) \"[\w./ -]+\")\]"
    r"|(?:repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks"
    r"|name|email|defaultbranch|rebase|ff|default|url|fetch|pushurl|remote|merge|active)\s*=[^\\]*)?"
)


def kept_in(folder):
    """Returns the paths in ``folder`` that the program may not change."""
    git = os.path.join(folder, ".git")
    # A .git that is a link or a file refers to another folder.
    is_elsewhere = os.path.lexists(git) and (os.path.islink(git) or not os.path.isdir(git))
    of_git = [git] if is_elsewhere else [os.path.join(git, name) for name in (*_RUN_BY_GIT, "commondir")]
    # The next start runs packages that include Iron Cage.
    packages = ("node_modules",) if os.path.lexists(os.path.join(folder, "node_modules/iron-cage")) else ()
    names = (*_KEPT, *_PROGRAMS, *packages)
    return [os.path.join(folder, name) for name in names] + of_git + _chosen_hooks(folder, git)


def _chosen_hooks(folder, git):
    """Returns the hooks folders that the repository's configuration names."""
    settings = [line.partition("=") for line in (read(os.path.join(git, "config")) or "").splitlines()]
    chosen = [value.strip().strip('"') for name, _, value in settings if name.strip().lower().endswith("hookspath")]
    return [os.path.normpath(os.path.join(folder, os.path.expanduser(path))) for path in chosen]


class Planted:
    """``paths``: those missing now must be missing afterwards. ``folders``: where the program may make or change repositories."""

    def __init__(self, paths, folders=()):
        self._missing = [path for path in dict.fromkeys(paths) if not os.path.lexists(path)]
        self._known = set(paths)
        self._links = {folder for folder in map(os.path.dirname, self._missing) if os.path.islink(folder)}
        self._folders = folders
        self._dotted = _Dotted(folders)
        self._begun = time.time() - _COARSE_SECONDS

    def move_aside(self):
        """Moves each planted file aside and yields (path, new path)."""
        for path in self._missing:
            folder = os.path.dirname(path)
            is_of_git = os.path.basename(folder) == ".git"
            if is_of_git and os.path.isfile(folder) or os.path.islink(folder) and folder not in self._links:
                # It refers to a folder elsewhere, which is not touched: the link or file itself is moved.
                path = folder
            if os.path.lexists(path) and not (is_of_git and _is_harmless(path)):
                yield path, move_aside(path)
        for path in self._dotted.appeared(self._begun):
            if not self._is_known(path):
                yield path, move_aside(path)
        for repository in _repositories(self._folders):
            for path in (os.path.join(repository, name) for name in _RUN_BY_GIT):
                if (
                    not self._is_free(path, repository)
                    and self._is_changed(path, repository)
                    and not _is_harmless(path)
                ):
                    yield path, move_aside(path)

    def _is_free(self, path, repository):
        """Returns True if ``path`` is one of ``paths``, or is in a folder inside the repository that is listed as writable."""
        return self._is_known(path) or any(
            (path + "/").startswith(folder + "/") and folder.startswith(repository + "/") for folder in self._folders
        )

    def _is_known(self, path):
        return path in self._known or path in self._folders

    def _is_changed(self, path, repository):
        """Returns True if the program made or changed ``path``, or put an older one into a repository that it made."""
        if _is_changed(path, self._begun):
            return True
        whole = (repository, *(os.path.join(repository, name) for name in _OF_REPOSITORIES))
        return os.path.lexists(path) and all(_changed(each) >= self._begun for each in whole)


class _Dotted:
    """Finds names that begin with a dot: by them programs find files to load in a folder."""

    def __init__(self, folders):
        self._folders = folders
        # By folder: the names in it before the program starts, and whether each is a folder.
        self._before = {}
        for folder in folders:
            if _is_shared(folder):
                continue
            names = self._before[folder] = _names(folder)
            inner = [name for name, is_folder in names.items() if is_folder and not _is_left_out(name)]
            for path in [os.path.join(folder, name) for name in inner[:_MAX_FOLDERS]]:
                listed = _names(path, _MAX_NAMES + 1)
                if len(listed) <= _MAX_NAMES:
                    self._before.setdefault(path, listed)

    def appeared(self, begun):
        """Yields new paths, but for data, and those of ``_KEPT`` that were made or changed in other folders than the top.

        Folders that the program made are not searched: it may have cloned or unpacked them.
        """
        end = time.monotonic() + _MAX_SEARCH_SECONDS
        left = list(self._folders)
        for folder in left:
            if time.monotonic() > end:
                return
            before = self._before.get(folder)
            for entry in _scan(folder):
                is_new = before is not None and entry.name not in before
                is_replaced = before is not None and before.get(entry.name) and entry.is_symlink()
                is_dotted = is_new and entry.name.startswith(".") and not _is_data(entry.name)
                if is_dotted or is_replaced or entry.name in _KEPT and _is_changed(entry.path, begun):
                    yield entry.path
                elif not is_new and entry.is_dir(follow_symlinks=False) and not _is_left_out(entry.name):
                    left.append(entry.path)


def _is_shared(folder):
    """Returns True for a folder such as /tmp, in which other users and programs make files too."""
    try:
        return bool(os.stat(folder).st_mode & stat.S_ISVTX)
    except OSError:
        return False


def _names(folder, most=None):
    """Returns the names in ``folder`` and whether each is a folder; at most ``most``."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir(follow_symlinks=False) for entry in itertools.islice(entries, most)}
    except OSError:
        return {}


def _is_left_out(name):
    return name.startswith(".") or name in _OF_PACKAGES


def _is_data(name):
    number = name.rpartition(_ASIDE)
    is_aside = number[1] and not number[2].strip("-0123456789")
    return name in _DATA or name.endswith(_DATA_ENDINGS) or is_aside


def _repositories(folders):
    """Yields folders in ``folders`` that git may take for repositories: those found in ``_MAX_SEARCH_SECONDS``."""
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
        # A folder that cannot be listed can still be used as a repository.
        try:
            os.chmod(folder, 0o700)
            return list(os.scandir(folder))
        except OSError:
            return []
    except OSError:
        return []


def _paths_in(folder):
    return [] if os.path.islink(folder) else [entry.path for entry in _scan(folder)]


def _is_changed(path, begun):
    return any(_changed(each) >= begun for each in (path, *_paths_in(path)))


def _changed(path):
    """Returns the change time (ctime), which programs cannot set; 0 for a missing file."""
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return 0


def move_aside(path):
    """Renames a program's file or folder at ``path``. Returns its new path."""
    aside = _free_name(path + _ASIDE)
    try:
        os.rename(path, aside)
    except PermissionError:
        # The folder belongs to this user, and the program made it read-only.
        os.chmod(os.path.dirname(path), 0o700)
        os.rename(path, aside)
    return aside


def _is_harmless(path):
    """Returns True if ``path`` does not make git run anything."""
    name = os.path.basename(path)
    if name not in _RUN_BY_GIT or os.path.islink(path):
        return False
    try:
        if name == "hooks":
            # Names of hooks contain no dot.
            return all("." in entry.name or entry.is_dir(follow_symlinks=False) for entry in os.scandir(path))
        if os.path.isdir(path):
            return True
        text = read(path)
    except OSError:
        return False
    # Imported only if there is a configuration to check: startup is faster without it.
    import re

    return is_whole(text) and all(re.fullmatch(_HARMLESS, line, re.IGNORECASE) for line in text.splitlines())


def _free_name(path):
    name, number = path, 1
    while os.path.lexists(name):
        number += 1
        name = "%s-%d" % (path, number)
    return name
