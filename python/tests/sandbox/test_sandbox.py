"""Programs behind walls: the limits, and the uses that work as they do without walls."""

import ast
import base64
import contextlib
import errno
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import stage

import iron_sandbox
from iron_sandbox import _groups, _names, _policy

PYTHON = stage.PYTHON
ALL_LEVELS = ("observe", "standard", "strict")
#: Other users of the machine, and a Python that this user may run.
NOBODY, SYSTEM_PYTHON = 65534, "/usr/bin/python3"
MACHINE = iron_sandbox.explain()
FAULTS = {level: fault for level, fault in MACHINE["levels"].items() if fault}
#: The levels that this machine can build; the rest is refused, for which there is a test.
LEVELS = tuple(level for level in ALL_LEVELS if level not in FAULTS)
CONFINED = LEVELS[1:]
#: Those that hide and keep files in a folder that the program may write to.
KEEPING = tuple(level for level in CONFINED if level == "strict" or MACHINE["hide"] is None)


def is_read_only(folder):
    return sys.platform == "linux" and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def needs(*levels):
    missing = [level for level in levels if level not in LEVELS]
    return unittest.skipIf(missing, "this machine cannot build %s" % ", ".join(missing))


def launch(level, *program, words=(), python=sys.executable, **options):
    """Starts a program in a cage with the command line; options are those of Popen."""
    command = [python, *stage.LAUNCH, "--level", level, *words, "--", *program]
    return subprocess.Popen(command, env={**os.environ, **options.pop("env", {})}, **options)


def patched(module, change):
    """The arguments of a Python that launches after ``change`` to a module of the package."""
    *words, code = stage.LAUNCH
    return [*words, code.replace("; from", "; from iron_sandbox import %s; %s; from" % (module, change))]


def spare(**options):
    """A launcher that waits for the message of ``instruct``."""
    return subprocess.Popen([sys.executable, *stage.LAUNCH, "--wait"], stdin=subprocess.PIPE, **options)


def instruct(process, *words, cwd="/", environment=None):
    content = json.dumps({"words": words, "cwd": cwd, "environment": environment or {}}).encode()
    process.stdin.write(b"%d\n%b" % (len(content), content))
    process.stdin.flush()


def finish(process, timeout=60):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def finish_with(process, text):
    out, _ = process.communicate(text, timeout=60)
    return process.returncode, out


def script(text):
    return [sys.executable, "-c", text]


def captured(level, *program, words=(), **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return finish(launch(level, *program, words=words, **pipes, **options))


def wait_until(question, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if question():
            return
        time.sleep(0.02)
    raise AssertionError("it never came true")


def is_program(pid):
    try:
        return Path("/proc/%d/cmdline" % pid).read_bytes().startswith(b"sleep\0")
    except OSError:
        return False


@unittest.skipUnless(sys.platform == "linux", "walls are Linux's")
@needs("observe")
class Cage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir="/var/tmp")
        self.addCleanup(folder.cleanup)
        self.work = folder.name


RACE = "connect from many threads while the address changes"


class Probes(Cage):
    def assert_as_documented(self, level, results):
        index = 1 + stage.LEVELS.index(level)
        lines = stage.DOCUMENT.read_text().partition(stage.BEGIN)[2].partition(stage.END)[0].splitlines()
        documented = {
            line.split(" | ")[0][2:]: line.rstrip(" |").split(" | ")[index] for line in lines if line[:2] == "| "
        }
        self.assertGreater(len(results), 100)
        for title, _, what, how in results:
            is_open = "open" in documented[title]
            # A race that could be won is not won each time.
            if title == RACE and is_open:
                continue
            self.assertEqual(what == "open", is_open, "%s at %s: %s %s" % (title, level, what, how))

    @needs("strict")
    def test_nothing_that_harms_is_open_in_strict(self):
        results = stage.try_level("strict")
        self.assertEqual([title for title, harms, what, _ in results if harms and what == "open"], [])
        self.assert_as_documented("strict", results)

    @unittest.skipUnless("standard" in KEEPING, "this machine has no mount namespaces")
    def test_standard_is_as_documented(self):
        self.assert_as_documented("standard", stage.try_level("standard"))

    @unittest.skipUnless("standard" in KEEPING, "this machine has no mount namespaces")
    def test_standard_with_a_limited_network_is_as_documented(self):
        self.assert_as_documented("standard, connect", stage.try_level("standard, connect"))

    @needs("standard")
    @unittest.skipIf(is_read_only(stage.SETTINGS), "namespaces cannot be taken away here")
    def test_standard_without_namespaces_is_as_documented(self):
        level = "standard, no namespaces"
        self.assert_as_documented(level, stage.try_level(level))

    @unittest.skipUnless(os.geteuid() == 0 and os.access(SYSTEM_PYTHON, os.X_OK), "needs root to become another user")
    def test_a_user_without_privileges_has_the_same_walls(self):
        for level in KEEPING:
            results = stage.try_level(level, user=NOBODY)
            self.assert_as_documented(level, results)


class Programs(Cage):
    def test_exit_codes_and_signals_are_the_programs_own(self):
        for level in LEVELS:
            self.assertEqual(captured(level, "/bin/sh", "-c", "exit 42")[0], 42)
            self.assertEqual(captured(level, "/bin/sh", "-c", "kill -9 $$")[0], -signal.SIGKILL)
            self.assertEqual(captured(level, "/bin/sh", "-c", "kill -TERM $$")[0], -signal.SIGTERM)

    @needs("standard", "strict")
    def test_a_program_that_is_not_there_is_127_and_a_wall_that_cannot_be_built_126(self):
        self.assertEqual(captured("strict", "no-such-program")[0], 127)
        code, _, err = captured("strict", "/bin/true", words=["--hide", "/etc/hostname"], env={"PATH": ""})
        self.assertEqual((code, err), (0, ""))
        (Path(self.work) / "file").write_text("#!/no/such/interpreter\n")
        os.chmod(self.work + "/file", 0o755)
        code, _, err = captured("standard", self.work + "/file", words=["--read", self.work])
        self.assertEqual(code, 127, err)

    def test_an_inherited_socket_that_can_be_given_another_address_is_refused(self):
        streams, letters = socket.socketpair(), socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        packets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        single = (socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for own in (*streams, *letters, *packets, *single):
            self.addCleanup(own.close)
        for level in CONFINED:
            for own in (streams[0], packets[0]):
                self.assertEqual(finish(launch(level, "/bin/true", stdin=own))[0], 0)
            for own in (letters[0], *single):
                for name in ("stdin", "stdout"):
                    pipes = {"stderr": subprocess.PIPE, "text": True, name: own}
                    code, _, err = finish(launch(level, "/bin/true", **pipes))
                    self.assertEqual(code, 126, (level, name, own))
                    self.assertIn("a socket that is not connected for good", err)

    def test_a_gate_holds_the_program_until_a_line_comes(self):
        for level in LEVELS:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            words = ["--gate", "--report-fd", "1"]
            process = launch(level, "/bin/sh", "-c", "echo in; cat", words=words, **pipes)
            self.assertEqual(json.loads(process.stdout.readline())["standing"]["level"], level)
            self.assertEqual(finish_with(process, "go\nnot for it\n"), (0, "in\n"))
            process = launch(level, "/bin/sh", "-c", "echo in", words=words, **pipes)
            process.stdout.readline()
            self.assertEqual(finish_with(process, ""), (0, ""))

    def test_a_wrong_word_is_named(self):
        for words in (["--levle", "x"], ["--level", "x"], ["--connect", "nowhere"], ["--memory-mb", "much"]):
            command = [sys.executable, "-m", "iron_sandbox", *words, "--", "/bin/true"]
            done = subprocess.run(
                command, env={**os.environ, "PYTHONPATH": str(PYTHON)}, capture_output=True, text=True
            )
            self.assertEqual(done.returncode, 2)
            self.assertIn(words[-1], done.stderr + words[0] if words[0] == "--levle" else done.stderr)

    def test_a_signal_reaches_the_program_once_whether_its_group_gets_it_or_the_guard_alone(self):
        count = (
            "import signal, sys, time\nseen = []\n"
            "signal.signal(signal.SIGTERM, lambda *_: seen.append(1))\n"
            "signal.signal(signal.SIGUSR1, lambda *_: print('usr1', len(seen), flush=True))\n"
            "print('ready', flush=True)\nwhile True: time.sleep(1)"
        )
        for level in LEVELS:
            for send in (os.kill, os.killpg):
                process = launch(level, *script(count), stdout=subprocess.PIPE, text=True, start_new_session=True)
                self.assertEqual(process.stdout.readline(), "ready\n")
                send(process.pid, signal.SIGTERM)
                # Long enough for a second one.
                time.sleep(0.6)
                os.kill(process.pid, signal.SIGUSR1)
                self.assertEqual(process.stdout.readline(), "usr1 1\n", (level, send))
                process.kill()
                finish(process)

    def test_sigusr1_is_no_harm_to_a_program_without_a_use_for_it(self):
        for level in LEVELS:
            process = launch(level, "/bin/sh", "-c", "echo ready; sleep 0.5; exit 7", stdout=subprocess.PIPE, text=True)
            self.assertEqual(process.stdout.readline(), "ready\n")
            os.kill(process.pid, signal.SIGUSR1)
            self.assertEqual(finish(process)[0], 7)

    def test_all_end_with_the_guard_however_and_whenever_it_is_killed(self):
        for turn in range(24):
            seconds = "700.%d%02d" % (os.getpid(), turn)
            words = ["--write", self.work, "--hide", self.work + "/hidden"]
            process = launch(LEVELS[turn % 3], "sleep", seconds, words=words, stderr=subprocess.DEVNULL)
            # From before the first fork to after the last; then when the program runs.
            if turn < 18:
                time.sleep(turn * 0.008)
            else:
                wait_until(lambda seconds=seconds: any(is_program(pid) for pid in stage.running(seconds)))
            process.kill()
            process.wait()
            wait_until(lambda seconds=seconds: not stage.running(seconds))

    def test_a_cage_ends_with_those_that_ran_away_from_it(self):
        seconds = "701.%d" % os.getpid()
        run_away = "setsid sleep %s & exec setsid sh -c 'sleep %s & sleep 0.5; exit 5'" % (seconds, seconds)
        for level in LEVELS:
            for as_root in (True, False) if os.geteuid() == 0 else (False,):
                user = {} if as_root or os.geteuid() else {"user": NOBODY, "cwd": "/", "env": {"HOME": "/"}}
                code, _, err = captured(level, "/bin/sh", "-c", run_away, python=SYSTEM_PYTHON, **user)
                self.assertEqual(code, 5, err)
                self.assertEqual(stage.running(seconds), [])

    def test_the_temporary_folder_is_the_programs_own_and_gone_after_it(self):
        for level in LEVELS:
            for home in (self.work, "/tmp"):
                text = "import tempfile; print(tempfile.mkdtemp())"
                code, out, err = captured(level, *script(text), env={"HOME": home})
                self.assertEqual(code, 0, err)
                self.assertFalse(Path(out.strip()).exists())

    def test_a_program_has_a_home_of_its_own_with_what_it_was_granted_of_the_users(self):
        home = Path(self.work, "home")
        (home / ".models").mkdir(parents=True)
        (home / ".models" / "one").write_text("text")
        (home / "secret").write_text("hush")
        work = Path(self.work, "work")
        work.mkdir()
        text = (
            "import os; home = os.path.expanduser('~'); print(home); os.makedirs(home + '/.local/share/x', exist_ok=True)\n"
            "print(open(home + '/.models/one').read(), os.path.exists(home + '/secret'))\n"
            "try: open(home + '/secret')\n"
            "except OSError as error: print(error.errno)"
        )
        for level in CONFINED:
            options = {"env": {**os.environ, "HOME": str(home)}, "capture_output": True, "text": True}
            # The first is where it works.
            code = (
                "import os, sys, json, iron_sandbox; done = iron_sandbox.run([sys.executable, '-c', sys.argv[1]], level=%r, read=[os.environ['HOME'] + '/.models'], write=[sys.argv[2]], capture_output=True, text=True); print(json.dumps([done.stdout, done.stderr, done.denied]))"
                % level
            )
            options["env"]["PYTHONPATH"] = str(PYTHON)
            done = subprocess.run([sys.executable, "-c", code, text, str(work)], **options)
            out, err, denied = json.loads(done.stdout)
            self.assertEqual(out.splitlines(), [str(work / ".iron-sandbox"), "text False", "2"], err)
            self.assertIn(str(home / "secret"), [attempt["target"] for attempt in denied])
            self.assertTrue((work / ".iron-sandbox" / ".local" / "share" / "x").is_dir())

    def test_what_python_programs_use_works(self):
        works = (
            "import asyncio, multiprocessing, sqlite3, ssl, subprocess, sys, tempfile, threading\n"
            "asyncio.run(asyncio.sleep(0))\n"
            "with multiprocessing.Pool(2) as pool: assert pool.map(abs, [1, -2]) == [1, 2]\n"
            "thread = threading.Thread(target=int); thread.start(); thread.join()\n"
            "sqlite3.connect('state.sqlite').execute('create table t (x)')\n"
            "ssl.create_default_context()\n"
            "assert subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True).stdout == b'1\\n'\n"
            "open('written', 'w').write('x'); print('done')"
        )
        for level in LEVELS:
            words = ["--write", self.work]
            code, out, err = captured(level, *script(works), words=words, cwd=self.work)
            self.assertEqual((code, out), (0, "done\n"), err)
            os.unlink(os.path.join(self.work, "state.sqlite"))

    @needs("strict")
    def test_links_on_the_way_to_a_path_are_there_in_strict_too(self):
        real, link = Path(self.work, "real"), Path(self.work, "link")
        real.mkdir()
        (real / "file").write_text("text")
        link.symlink_to(real)
        code, out, err = captured("strict", "/bin/cat", str(link / "file"), words=["--read", str(link / "file")])
        self.assertEqual((code, out), (0, "text"), err)

    def test_what_is_hidden_in_the_working_folder_is_hidden_by_every_path(self):
        folder = Path(self.work, "data")
        folder.mkdir()
        (folder / "keys").write_text("key")
        words = ["--write", self.work, "--write", str(folder), "--hide", str(folder / "keys")]
        read = "for path in keys ../data/keys /proc/self/cwd/keys; do cat $path; done; echo mine > own && mv own .. && cat ../own"
        for level in KEEPING:
            with self.subTest(level=level):
                code, out, err = captured(level, "/bin/sh", "-c", read, words=words, cwd=folder)
                self.assertEqual((code, out), (0, "mine\n"), err)

    def test_nothing_is_granted_by_a_home_folder_or_what_is_above_it(self):
        Path(self.work, "secret").write_text("hush")
        for level in CONFINED:
            for path in (self.work, "/", "/var"):
                options = {"words": ["--write", path], "env": {"HOME": self.work}, "cwd": self.work}
                code, out, _ = captured(level, "/bin/cat", self.work + "/secret", **options)
                self.assertEqual((code, out), (1, ""))


@needs("strict")
class Spares(Cage):
    """Launchers that wait for their instructions."""

    def test_one_starts_a_program_as_a_new_launcher_does(self):
        show = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['NAME'], 'HOME' in os.environ)"
        for level in LEVELS:
            process = spare(stdout=subprocess.PIPE, env={"OTHER": "1", "HOME": self.work})
            words = ("--level", level, "--write", self.work, "--", sys.executable, "-c", show, "--level", "\u00fc")
            instruct(process, *words, cwd=self.work, environment={"NAME": "w\u00e4rde", "HOME": "/nowhere"})
            code, out, _ = finish(process)
            expected = "['--level', '\u00fc'] %s w\u00e4rde True\n" % os.path.realpath(self.work)
            self.assertEqual((code, out.decode()), (0, expected))

    def test_one_refuses_what_a_new_launcher_refuses(self):
        for words, code in ((("--levle",), 2), (("--", "no-such-program"), 127), (("--level", "strict"), 2)):
            process = spare(stderr=subprocess.DEVNULL)
            instruct(process, *words)
            self.assertEqual(finish(process)[0], code)

    def test_one_that_gets_none_ends_with_its_input_and_leaves_nothing(self):
        for text in (b"", b"12", b"12\n{"):
            process = spare()
            process.stdin.write(text)
            self.assertEqual(finish(process)[0], 0)
            for folder, names, _ in os.walk("/sys/fs/cgroup"):
                self.assertEqual([name for name in names if ".%d." % process.pid in name], [], folder)


@unittest.skipUnless("standard" in KEEPING, "this machine has no mount namespaces")
class Folders(Cage):
    """The files that a program leaves in a folder where other programs look."""

    def leave(self, level, text, args=(), **options):
        done = iron_sandbox.run(
            ["/bin/sh", "-c", text, "sh", *args],
            level=level,
            write=[self.work],
            cwd=self.work,
            capture_output=True,
            text=True,
            **options,
        )
        return done.stderr, [
            (os.path.relpath(path, self.work), os.path.relpath(aside, self.work)) for path, aside in done.planted
        ]

    def test_what_others_would_run_is_moved_aside_and_the_rest_is_left(self):
        hide = [self.work + "/" + name for name in ("iron-cage.yaml", "iron-cage.toml")]
        text = "mkdir -p .vscode .git/hooks; touch .vscode/tasks.json .git/hooks/pre-commit .git/commondir iron-cage.yaml own .envrc"
        for level in CONFINED:
            err, planted = self.leave(level, text, hide=hide)
            names = (".vscode", ".envrc", ".git/hooks", ".git/commondir", "iron-cage.yaml")
            self.assertEqual(sorted(planted), sorted((name, name + ".planted") for name in names), err)
            self.assertTrue(os.path.exists(self.work + "/own"))
            for name in names:
                self.assertFalse(os.path.lexists(os.path.join(self.work, name)))
                subprocess.run(["rm", "-r", os.path.join(self.work, name + ".planted")], check=True)

    def test_any_new_name_with_a_dot_is_moved_aside_but_for_data(self):
        data = (
            ".langchain.db",
            ".chroma/index",
            ".agent_state/notes.json",
            ".pytest_cache/x",
            ".gitignore",
            ".app.log",
        )
        # No program reads these today; the next editor or shell may.
        names = (
            ".newtool.json",
            ".newtool/tasks",
            ".env",
            ".eslintrc.cjs",
            ".yarn/releases/y.cjs",
            "web/.newtool",
            "web/.envrc",
        )
        os.makedirs(self.work + "/web/src/deep")
        os.makedirs(self.work + "/.mine")
        for name in (".mine/settings", "web/.old", "web/src/deep/.npmrc"):
            Path(self.work, name).touch()
        time.sleep(0.3)
        make = 'for name in "$@"; do mkdir -p "$(dirname "$name")"; echo x >> "$name"; done'
        work = (*data, ".mine/settings", ".mine/more", "web/.old", "web/src/deep/.newtool")
        cloned = ("clone/.envrc", "clone/.github/ci.yml", "web/clone/.vscode/tasks.json", "web/node_modules/p/.npmrc")
        deep = ("web/src/deep/.envrc", "web/src/deep/.npmrc", "web/src/.vscode/tasks.json")
        for level in CONFINED:
            self.assertEqual(self.leave(level, make, args=(*work, *cloned)), ("", []))
            for path in (*work, *cloned):
                self.assertTrue(os.path.exists(os.path.join(self.work, path)), path)
            time.sleep(0.3)
            _, planted = self.leave(level, make, args=(*names, *deep))
            moved = sorted(re.sub(r"(/\.\w+|^\.\w+)/.*", r"\1", name) for name in (*names, *deep))
            self.assertEqual(sorted(planted), [(name, name + ".planted") for name in moved])
            # Files that its user puts back are the agent's own.
            os.rename(self.work + "/.newtool.planted", self.work + "/.newtool")
            self.assertEqual(self.leave(level, make, args=(".newtool/tasks", ".newtool/more")), ("", []))
            for path in (
                "clone",
                "web/clone",
                ".newtool",
                *(name + ".planted" for name in moved if name != ".newtool"),
            ):
                subprocess.run(["rm", "-r", os.path.join(self.work, path)], check=True)
            for path in data:
                subprocess.run(["rm", "-r", os.path.join(self.work, path.partition("/")[0])], check=True)
            Path(self.work, "web/src/deep/.npmrc").touch()
            time.sleep(0.3)

    def test_a_folder_that_became_a_link_is_moved_aside_as_that_link(self):
        os.makedirs(self.work + "/web")
        done = self.leave("standard", "mkdir made; touch made/.envrc; rmdir web; ln -s made web")
        self.assertEqual(done, ("", [("web", "web.planted")]))

    def test_in_a_folder_that_all_share_only_names_that_are_known_are_moved_aside(self):
        os.chmod(self.work, 0o1777)
        self.assertEqual(self.leave("standard", "touch .X11-unix .envrc"), ("", [(".envrc", ".envrc.planted")]))

    def test_a_repository_that_runs_nothing_is_left_and_one_that_does_is_not(self):
        harmless = '[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = https://example.com/x\n[branch "main"]\n\tmerge = refs/heads/main\n'
        for config in ("", harmless):
            text = "mkdir -p .git/hooks; touch .git/hooks/pre-push.sample; printf '%%s' '%s' > .git/config" % config
            self.assertEqual(self.leave("standard", text), ("", []))
            subprocess.run(["rm", "-r", self.work + "/.git"], check=True)
        aside = [(".git/config", ".git/config.planted")]
        for line in (
            "[core]\nfsmonitor = x",
            "[core]\nhooksPath = x",
            "[include]\npath = x",
            "[alias]\ns = !x",
            "[core] pager = x",
            "[core]\nurl = \\\nx\\\n",
            "x" * 70000,
        ):
            text = "mkdir .git; cat > .git/config; chmod 500 .git"
            self.assertEqual(self.leave("standard", text, input=harmless + line), ("", aside))
            subprocess.run(["rm", "-r", self.work + "/.git"], check=True)

    def test_a_link_or_a_file_in_the_place_of_gits_folder_is_moved_and_not_what_it_leads_to(self):
        other = Path(self.work, "other")
        (other / "hooks").mkdir(parents=True)
        (other / "hooks" / "pre-commit").touch()
        for text in ("ln -s other .git", "echo gitdir: other > .git"):
            self.assertEqual(self.leave("standard", text), ("", [(".git", ".git.planted")]))
            self.assertTrue((other / "hooks" / "pre-commit").exists())
            os.unlink(self.work + "/.git.planted")

    def test_what_git_would_run_of_a_repository_below_is_moved_aside_once_it_was_made_or_changed(self):
        runs = "[core]\n\tfsmonitor = x\n"
        theirs = Path(self.work, "theirs/.git")
        for folder in ("hooks", "objects", "refs"):
            (theirs / folder).mkdir(parents=True)
        (theirs / "HEAD").write_text("ref: refs/heads/main\n")
        (theirs / "config").write_text(runs)
        (theirs / "hooks/pre-commit").touch()
        # Later than the files.
        time.sleep(0.3)
        harmless = "mkdir -p own/.git/hooks own/src/hooks own/src/refs; touch own/.git/hooks/pre-push.sample own/src/hooks/useAll.ts;"
        use = (
            harmless
            + " printf '[core]\n\tbare = false\n' > own/.git/config; echo x > theirs/.git/HEAD; mkdir -p theirs/.git/objects/12"
        )
        attempts = {
            "echo x >> theirs/.git/config": ["theirs/.git/config"],
            "echo x > theirs/.git/hooks/pre-commit": ["theirs/.git/hooks"],
            "mkdir -p a/b/.git/hooks; touch a/b/.git/hooks/post-checkout": ["a/b/.git/hooks"],
            "mkdir -p a/bare.git/objects; echo 'fsmonitor = x' > a/bare.git/config": ["a/bare.git/config"],
            "mkdir -p .git/modules/m; touch .git/modules/m/HEAD; echo '[alias] x=!y' > .git/modules/m/config": [
                ".git/modules/m/config"
            ],
            "mkdir -p a/.git; cp theirs/.git/config a/.git/config.worktree; chmod 300 a/.git a": [
                "a/.git/config.worktree"
            ],
        }
        for level in CONFINED:
            self.assertEqual(self.leave(level, use), ("", []))
            for text, names in attempts.items():
                self.assertEqual(self.leave(level, text), ("", [(name, name + ".planted") for name in names]), text)
                # As it was, at the same time as before.
                subprocess.run(["rm", "-rf", self.work + "/a", self.work + "/.git"], check=True)
                for planted in theirs.glob("*.planted"):
                    planted.rename(planted.with_suffix(""))
                (theirs / "config").write_text(runs)
                time.sleep(0.3)

    def test_a_repository_that_two_programs_made_is_known_and_one_that_is_listed_may_be_changed(self):
        self.assertEqual(self.leave("standard", "mkdir half; echo 'fsmonitor = x' > half/config"), ("", []))
        time.sleep(0.3)
        finish_it = "mkdir half/objects half/refs; echo ref > half/HEAD; mv half .git; mkdir clone; mv .git clone"
        name = "clone/.git/config"
        self.assertEqual(self.leave("standard", finish_it), ("", [(name, name + ".planted")]))
        listed = os.path.join(self.work, "clone/.git/hooks")
        os.mkdir(listed)
        done = iron_sandbox.run(
            ["/bin/sh", "-c", "touch clone/.git/hooks/pre-commit"],
            level="standard",
            write=[self.work, listed],
            cwd=self.work,
        )
        self.assertEqual((done.returncode, done.planted), (0, []))

    def test_the_folder_of_hooks_that_a_repository_has_chosen_is_kept(self):
        os.makedirs(self.work + "/.git")
        os.makedirs(self.work + "/githooks")
        Path(self.work, ".git/config").write_text("[core]\n\thooksPath = githooks\n")
        for level in CONFINED:
            self.assertIn("Read-only", self.leave(level, "touch githooks/pre-commit")[0])

    def test_what_is_there_can_be_read_and_not_changed_unless_it_is_listed(self):
        for name in (".git/hooks", ".vscode"):
            os.makedirs(os.path.join(self.work, name))
        Path(self.work, ".git/config").write_text("[core]")
        text = "cat .git/config; echo x > .git/config; touch .git/hooks/x; mv .git git; touch .vscode/x && echo own; touch .git/index && mv .git/index .git/x && rm .git/x"
        for level in CONFINED:
            code, out, err = captured(
                level,
                "/bin/sh",
                "-c",
                text,
                words=["--write", self.work, "--write", self.work + "/.vscode"],
                cwd=self.work,
            )
            self.assertEqual((code, out), (0, "[core]own\n"), err)
            self.assertEqual(os.listdir(self.work + "/.git/hooks"), [])
            self.assertTrue(os.path.exists(self.work + "/.vscode/x"))

    def test_programs_that_are_run_later_are_moved_aside_or_read_only(self):
        names = (".venv", "venv", "node_modules/.bin")
        text = "mkdir -p %s; for name in %s; do touch $name/tool; done" % ((" ".join(names),) * 2)
        for level in CONFINED:
            err, planted = self.leave(level, text)
            self.assertEqual(sorted(planted), sorted((name, name + ".planted") for name in names), err)
            for name in names:
                os.rename(os.path.join(self.work, name + ".planted"), os.path.join(self.work, name))
            for name in names:
                self.assertIn("Read-only", self.leave(level, "echo x > %s/tool" % name)[0])
            self.assertIn("busy", self.leave(level, "mv node_modules aside")[0])
            subprocess.run(["rm", "-r", *(os.path.join(self.work, name) for name in names)], check=True)

    def test_packages_that_are_a_link_elsewhere_are_moved_aside_as_that_link(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as other:
            os.makedirs(other + "/.bin")
            _, planted = self.leave("standard", "rmdir node_modules; ln -s %s node_modules" % other)
            self.assertEqual(planted, [("node_modules", "node_modules.planted")])
            self.assertTrue(os.path.isdir(other + "/.bin"))

    def test_a_python_that_the_program_may_write_builds_no_sandbox(self):
        prefix = Path(self.work, "env")
        subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(prefix)], check=True)
        launch = [str(prefix / "bin/python"), *stage.LAUNCH, "--level", "standard"]
        for writable in (prefix, prefix / "bin"):
            done = subprocess.run(
                [*launch, "--write", str(writable), "--", "/bin/true"], capture_output=True, text=True
            )
            self.assertEqual((done.returncode, "use another Python" in done.stderr), (2, True), done.stderr)
        # In a folder that the program may write it is read-only.
        done = subprocess.run(
            [*launch, "--write", self.work, "--", "/bin/sh", "-c", "echo x > %s/bin/python" % prefix],
            capture_output=True,
            text=True,
        )
        self.assertIn("Read-only", done.stderr)

    def test_packages_that_nobody_compiled_are_compiled_once(self):
        prefix = Path(self.work, ".venv")
        subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(prefix)], check=True)
        (package,) = prefix.glob("lib/python3*/site-packages")
        (package / "package").mkdir()
        (package / "package/__init__.py").write_text("where = __cached__")
        words = [
            str(prefix / "bin/python"),
            "-c",
            "import os, package; print(os.path.exists(package.where), package.where)",
        ]
        writes = {"PYTHONDONTWRITEBYTECODE": ""}
        for level in CONFINED:
            for _ in range(2):
                code, out, err = captured(level, *words, words=["--write", self.work], cwd=self.work, env=writes)
                self.assertIn("True %s/.iron-sandbox/.cache/python/" % self.work, out, err)
        (package / "package/__pycache__").mkdir()
        _, out, err = captured(
            "standard", *words, words=["--write", self.work], cwd=self.work, env={"PYTHONDONTWRITEBYTECODE": "1"}
        )
        self.assertIn("False %s" % package, out, err)

    def test_what_is_no_file_keeps_nobody_waiting(self):
        os.makedirs(self.work + "/.git")
        os.makedirs(self.work + "/env/lib/python3.11/site-packages")
        for name in (".git/config", "env/pyvenv.cfg", "env/lib/python3.11/site-packages/x.pth"):
            os.mkfifo(os.path.join(self.work, name))
        os.makedirs(self.work + "/env/bin")
        os.symlink("/bin/true", self.work + "/env/bin/python")
        for level in CONFINED:
            code, _, err = captured(level, self.work + "/env/bin/python", words=["--write", self.work])
            self.assertEqual(code, 0, err)

    def test_modules_are_not_taken_from_a_folder_that_the_program_may_write_to(self):
        environment = {**os.environ, "PYTHONPATH": str(PYTHON)}
        options = {"env": environment, "cwd": self.work, "capture_output": True, "text": True}
        words = ["-m", "iron_sandbox", "--write", self.work, "--", "/bin/echo", "runs"]
        done = subprocess.run([sys.executable, *words], **options)
        self.assertEqual((done.returncode, "iron-sandbox, or python -P" in done.stderr), (2, True), done.stderr)
        options["env"]["PYTHONSAFEPATH"] = "1"
        if sys.version_info >= (3, 11):
            self.assertEqual(subprocess.run([sys.executable, *words], **options).stdout, "runs\n")
        # And not from any other before this is known.
        del options["env"]["PYTHONSAFEPATH"]
        Path(self.work, "struct.py").write_text("raise SystemExit('planted')")
        done = subprocess.run([sys.executable, "-m", "iron_sandbox", "--", "/bin/echo", "runs"], **options)
        self.assertEqual(done.stdout, "runs\n", done.stderr)


class Network(Cage):
    SERVER = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler); print(s.server_port, flush=True); s.serve_forever()"

    def setUp(self):
        super().setUp()
        server = subprocess.Popen(script(self.SERVER), cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(server.communicate)
        self.addCleanup(server.kill)
        self.port = int(server.stdout.readline())
        Path(self.work, "page").write_text("hello")

    def fetch(self, level, url, *connect):
        words = ["--limit-network"] + [word for place in connect for word in ("--connect", place)]
        text = "import urllib.request; print(urllib.request.urlopen(%r, timeout=10).read().decode())" % url
        return captured(level, *script(text), words=words)

    def test_a_listed_place_is_reached_and_no_other(self):
        url = "http://127.0.0.1:%d/page" % self.port
        for level in CONFINED:
            self.assertEqual(self.fetch(level, url, "127.0.0.1:%d" % self.port)[:2], (0, "hello\n"))
            code, _, err = self.fetch(level, url)
            self.assertEqual(code, 1)
            self.assertIn("Permission denied", err)

    @needs("strict")
    def test_a_program_reaches_what_it_serves_itself_in_an_empty_network_and_others_do_not(self):
        text = (
            "import asyncio, http.server, socket, threading, urllib.request\n"
            "for host in ('127.0.0.1', 'localhost'):\n"
            "  own = http.server.ThreadingHTTPServer((host, 0), http.server.SimpleHTTPRequestHandler)\n"
            "  threading.Thread(target=own.serve_forever, daemon=True).start()\n"
            "  print(urllib.request.urlopen('http://%s:%d/page' % (host, own.server_port)).read())\n"
            "async def echo(reader, writer): writer.write(await reader.read(1)); await writer.drain(); writer.close()\n"
            "async def ask(port):\n"
            "  reader, writer = await asyncio.open_connection('127.0.0.1', port)\n"
            "  writer.write(b'x'); return await reader.read()\n"
            "async def ask_often():\n"
            "  server = await asyncio.start_server(echo, '127.0.0.1', 0)\n"
            "  return await asyncio.gather(*[ask(server.sockets[0].getsockname()[1]) for _ in range(50)])\n"
            "print(set(asyncio.run(ask_often())))\n"
            "full = socket.socket(); full.bind(('127.0.0.1', 0)); full.listen(1); held = []\n"
            "for _ in range(4):\n"
            "  held.append(socket.socket()); held[-1].setblocking(False); held[-1].connect_ex(full.getsockname())\n"
            "for _ in range(2): full.accept()\n"
            "print(own.server_port, flush=True); input()"
        )
        process = launch(
            "strict",
            *script(text),
            words=["--write", self.work],
            cwd=self.work,
            text=True,
            stdin=-1,
            stdout=-1,
            stderr=-1,
        )
        self.assertEqual([process.stdout.readline() for _ in range(3)], ["b'hello'\n"] * 2 + ["{b'x'}\n"])
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(process.stdout.readline())))
        self.assertEqual(finish_with(process, "\n"), (0, ""))

    @needs("standard")
    def test_a_limited_network_serves_where_that_is_allowed(self):
        text = "import socket; own = socket.create_server(('127.0.0.1', 0)); print('serves')"
        for words, out in (((), ""), (("--allow", "listen"), "serves\n")):
            self.assertEqual(captured("standard", *script(text), words=["--limit-network", *words])[1], out)

    @needs("standard")
    def test_a_connect_by_tcp_cannot_be_disguised_as_one_of_unix_where_landlock_knows_no_ports(self):
        old = patched("_landlock", "known = _landlock.abi; _landlock.abi = lambda: min(3, known())")
        race = (
            "import ctypes, socket, struct, threading\n"
            "libc = ctypes.CDLL(None); is_over = threading.Event()\n"
            "good, bad = struct.pack('=H14x', %d), struct.pack('=HH4s8x', 2, socket.htons(%d), bytes((127, 0, 0, 1)))\n"
            "memory = ctypes.create_string_buffer(good, 16)\n"
            "def change():\n"
            "  while not is_over.is_set(): ctypes.memmove(memory, bad, 16); ctypes.memmove(memory, good, 16)\n"
            "changer = threading.Thread(target=change); changer.start(); made = 0\n"
            "for _ in range(300):\n"
            "  with socket.socket() as own: made += libc.connect(own.fileno(), memory, 16) == 0\n"
            "is_over.set(); changer.join(); print(made)"
        )
        for family in (socket.AF_UNSPEC, socket.AF_UNIX):
            words = [
                "--level",
                "standard",
                "--limit-network",
                "--allow",
                "unix",
                "--",
                *script(race % (family, self.port)),
            ]
            done = subprocess.run([sys.executable, *old, *words], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, "0\n"), done.stderr)

    def test_unix_sockets_work_where_they_are_allowed_and_reach_only_what_the_program_sees(self):
        outside = socket.socket(socket.AF_UNIX)
        self.addCleanup(outside.close)
        outside.bind("\0outside-%d" % os.getpid())
        outside.listen()
        Path(self.work, "elsewhere").mkdir()
        hidden = socket.socket(socket.AF_UNIX)
        self.addCleanup(hidden.close)
        hidden.bind(self.work + "/elsewhere/socket")
        hidden.listen()
        text = (
            "import errno, os, socket, sys, threading\n"
            "from multiprocessing.connection import Client, Listener\n"
            "listener = Listener('own'); threading.Thread(target=lambda: [listener.accept().send(5) for _ in range(3)]).start()\n"
            "os.symlink('own', 'link')\n"
            "print([Client(path).recv() for path in ('own', os.path.abspath('own'), 'link')])\n"
            "ours, other = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))\n"
            "ours.bind('letters'); other.connect('letters'); other.send(b'x'); print(ours.recv(9))\n"
            "for path in ('none', *sys.argv[1:]):\n"
            "  with socket.socket(socket.AF_UNIX) as own: print(errno.errorcode.get(own.connect_ex(path), 'open'))"
        )
        places = ["\0outside-%d" % os.getpid(), self.work + "/elsewhere/socket"]
        expected = {"standard": ["EACCES", "open"], "strict": ["ECONNREFUSED", "ENOENT"]}
        for level in CONFINED:
            work = Path(self.work, level)
            work.mkdir()
            words = ["--limit-network", "--allow", "unix", "--write", str(work)]
            words += ["--allow", "listen"] if level == "standard" else []
            code = text.replace("sys.argv[1:]", repr(places))
            exit_code, out, err = captured(level, *script(code), words=words, cwd=work)
            found = ["[5, 5, 5]", "b'x'", "ENOENT", *expected[level]]
            self.assertEqual((exit_code, out.splitlines()), (0, found), err)

    def test_a_name_is_reached_by_its_name(self):
        for level in CONFINED:
            place = "localhost:%d" % self.port
            self.assertEqual(self.fetch(level, "http://%s/page" % place, place)[:2], (0, "hello\n"))

    @unittest.skipUnless(CONFINED == KEEPING, "this machine has no mount namespaces")
    def test_programs_that_look_names_up_themselves_find_that_queries_go_by_tcp(self):
        outside = Path("/etc/resolv.conf").read_text()
        for level in CONFINED:
            program = ["/bin/sh", "-c", "cat /etc/resolv.conf; ls /dev/shm; : 2> /dev/null >> /etc/resolv.conf"]
            code, out, _ = captured(level, *program, words=["--limit-network"])
            self.assertEqual((out, code != 0), (outside + "\noptions use-vc\n", True))
        self.assertEqual(captured("standard", "cat", "/etc/resolv.conf")[1], outside)

    def test_programs_that_do_not_wait_are_served_too(self):
        text = (
            "import asyncio\n"
            "async def ask(_):\n"
            "  reader, writer = await asyncio.open_connection('127.0.0.1', %d)\n"
            "  writer.write(b'GET /page HTTP/1.0\\r\\n\\r\\n'); return (await reader.read())[-5:]\n"
            "async def all(): return await asyncio.gather(*map(ask, range(20)))\n"
            "print(set(asyncio.run(all())))" % self.port
        )
        for level in CONFINED:
            code, out, err = captured(level, *script(text), words=["--connect", "127.0.0.1:%d" % self.port])
            self.assertEqual((code, out), (0, "{b'hello'}\n"), err)

    def test_what_was_tried_is_reported_with_its_name(self):
        text = (
            "import socket\n"
            "for name, port in [('api.openai.com', 443), ('192.0.2.1', 80)]:\n"
            "  try: socket.create_connection((name, port), 2)\n"
            "  except OSError as error: print(error.errno)\n"
            "try: open('/etc/shadow')\n"
            "except OSError: pass\n"
            "try: open('/usr/new', 'w')\n"
            "except OSError: pass"
        )
        for level in CONFINED:
            done = iron_sandbox.run(script(text), level=level, connect=[], capture_output=True, text=True)
            self.assertEqual(done.stdout, "13\n13\n", done.stderr)
            expected = [("connect", "api.openai.com:443"), ("connect", "192.0.2.1:80")]
            expected += [("read", "/etc/shadow"), ("write", "/usr/new")]
            found = [(denied["action"], denied["target"]) for denied in done.denied]
            self.assertEqual([line for line in found if line in expected], expected)
            self.assertTrue(all(denied["refused"] for denied in done.denied))

    @needs("standard")
    def test_what_is_tried_again_and_again_is_summed_up(self):
        text = "for _ in range(5000):\n  try: open('/etc/shadow')\n  except OSError: pass"
        done = iron_sandbox.run(script(text), level="standard", capture_output=True)
        lines = [denied for denied in done.denied if denied["target"] == "/etc/shadow"]
        self.assertEqual(sum(line["count"] for line in lines), 5000)
        self.assertLess(len(lines), 30)

    def test_observe_stops_nothing_and_reports_it(self):
        text = "import socket; socket.create_connection(('127.0.0.1', %d)); open('/etc/shadow')" % self.port
        done = iron_sandbox.run(script(text), level="observe", capture_output=True, text=True)
        self.assertEqual(done.returncode, 0 if os.access("/etc/shadow", os.R_OK) else 1)
        self.assertIn(
            {"action": "connect", "target": "127.0.0.1:%d" % self.port, "refused": False, "count": 1}, done.denied
        )
        self.assertIn({"action": "read", "target": "/etc/shadow", "refused": False, "count": 1}, done.denied)


class Redirected(Cage):
    """Connections that are not listed, with a gateway that answers by the name that it is asked for."""

    ANSWERS = {
        "listed.example:443": b"HTTP/1.1 200 OK\r\n\r\n",
        "192.0.2.7:80": b"HTTP/1.1 200 Connection Established\r\nvia: %s\r\n\r\n" % (b"x" * 3000),
        "eager.example:25": b"HTTP/1.1 200 OK\r\n\r\n220 ready\r\n\r\n",
        "evil.example:443": b"HTTP/1.1 403 egress_denied evil.example\r\ncontent-length: 2\r\n\r\nno",
        "odd.example:443": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "down.example:443": b"HTTP/1.1 502 provider_unreachable\r\n\r\n",
        "other.example:443": b"SSH-2.0-other\r\n\r\n",
        "silent.example:443": None,
    }
    #: Connects to a place and prints what it gets for "ping"; or the name of the error.
    CLIENT = (
        "import errno, socket, sys\n"
        "for place in sys.argv[1:]:\n"
        "  host, _, port = place.rpartition(':')\n"
        "  try:\n"
        "    own = socket.create_connection((host, int(port)), TIMEOUT)\n"
        "    own.sendall(b'ping'); own.shutdown(socket.SHUT_WR)\n"
        "    print(own.makefile('rb').read())\n"
        "  except OSError as error: print(errno.errorcode.get(error.errno, error))\n"
    )

    def setUp(self):
        super().setUp()
        self.seen = []
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.address = "127.0.0.1:%d" % listener.getsockname()[1]
        threading.Thread(target=self.serve, args=(listener,), daemon=True).start()

    def serve(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1)
            self.seen.append(head.decode())
            answer = self.ANSWERS[head.decode().split()[1]]
            if answer is None:
                return
            connection.sendall(answer)
            while piece := connection.recv(4096):
                connection.sendall(piece)

    def variables(self, address=None, token="run_1"):
        proxy = "http://run:cage@%s" % self.address
        names = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "localhost", "NODE_USE_ENV_PROXY": "1"}
        return {"IRON_CAGE_URL": "http://%s" % (address or self.address), "IRON_CAGE_TOKEN": token, **names}

    def connect(self, level, *places, does_wait=True, **variables):
        words = ["--limit-network", "--gateway"]
        # With a timeout Python does not let the kernel wait.
        text = "TIMEOUT = %r\n%s" % (None if does_wait else 10, self.CLIENT)
        code, out, err = captured(level, *script(text), *places, words=words, env=self.variables(**variables))
        self.assertEqual(code, 0, err)
        return out.splitlines()

    def test_places_are_reached_through_the_gateway_by_their_names_with_the_key_of_the_guard(self):
        for level in CONFINED:
            for does_wait in (True, False):
                self.seen.clear()
                out = self.connect(level, "listed.example:443", "192.0.2.7:80", does_wait=does_wait)
                self.assertEqual(out, ["b'ping'", "b'ping'"])
                head = "CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n"
                places = ("listed.example:443", "192.0.2.7:80")
                keys = set()
                for place, seen in zip(places, self.seen):
                    credentials = seen.rpartition("Basic ")[2].strip()
                    self.assertEqual(seen, head % (place, place, credentials))
                    key = re.fullmatch("redirect-([0-9a-f]{64}):run_1", base64.b64decode(credentials).decode())
                    keys.add(key.group(1))
                self.assertEqual(len(keys), 1)

    def test_what_a_server_sends_first_reaches_the_program_whole(self):
        for level in CONFINED:
            for does_wait in (True, False):
                out = self.connect(level, "eager.example:25", does_wait=does_wait)
                self.assertEqual(out, [repr(b"220 ready\r\n\r\nping")])

    def test_a_refusal_is_eacces_and_what_does_not_answer_is_unreachable(self):
        expected = {"evil": "EACCES", "odd": "EACCES", "down": "EHOSTUNREACH", "other": "EHOSTUNREACH"}
        expected["silent"] = "EHOSTUNREACH"
        for level in CONFINED:
            for does_wait in (True, False):
                places = ["%s.example:443" % name for name in expected]
                self.assertEqual(self.connect(level, *places, does_wait=does_wait), list(expected.values()))

    def test_a_gateway_that_is_gone_makes_every_place_unreachable(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            address = "127.0.0.1:%d" % unused.getsockname()[1]
        for level in CONFINED:
            self.assertEqual(self.connect(level, "listed.example:443", address=address), ["EHOSTUNREACH"])

    def test_a_run_without_a_token_reaches_nothing(self):
        for level in CONFINED:
            self.assertEqual(self.connect(level, "listed.example:443", token=""), ["EACCES"])
        self.assertEqual(self.seen, [])

    def test_one_that_waits_for_an_answer_keeps_no_other_waiting(self):
        self.ANSWERS = {**self.ANSWERS, "slow.example:443": b""}
        text = (
            "import socket, threading\n"
            "def wait():\n"
            "  try: socket.create_connection(('slow.example', 443))\n"
            "  except OSError: pass\n"
            "threading.Thread(target=wait, daemon=True).start()\n"
            "for _ in range(20): socket.create_connection(('listed.example', 443)).close()\n"
            "print('done')"
        )
        for level in CONFINED:
            words = ["--limit-network", "--gateway"]
            self.assertEqual(captured(level, *script(text), words=words, env=self.variables())[:2], (0, "done\n"))

    def test_a_program_that_is_redirected_has_no_proxy_variables(self):
        text = "import os; print(sorted(name for name in os.environ if name.upper().endswith('_PROXY') or 'USE_ENV_PROXY' in name))"
        for level in CONFINED:
            words = ["--limit-network", "--gateway"]
            self.assertEqual(captured(level, *script(text), words=words, env=self.variables())[1], "[]\n")
        kept = sorted(name for name in self.variables() if name.upper().endswith("_PROXY"))
        for words in ([], ["--gateway"]):
            _, out, _ = captured("observe", *script(text), words=words, env=self.variables())
            self.assertLessEqual(set(kept), set(ast.literal_eval(out)))

    @needs("strict")
    def test_a_program_still_reaches_what_it_serves_itself(self):
        text = (
            "import socket; own = socket.create_server(('127.0.0.1', 0))\n"
            "socket.create_connection(own.getsockname()); own.accept(); print('served')"
        )
        words = ["--limit-network", "--gateway"]
        self.assertEqual(captured("strict", *script(text), words=words, env=self.variables())[:2], (0, "served\n"))
        self.assertEqual(self.seen, [])


class Limits(Cage):
    """Each ends by itself: these tests share their machine."""

    def test_a_memory_hog_ends(self):
        hog = "held = []\nfor _ in range(100): held.append(bytearray(16 << 20))"
        for level in LEVELS:
            code, _, err = captured(level, *script(hog), words=["--memory-mb", "200"])
            if "memory" in MACHINE["groups"]:
                self.assertEqual((code, "limit of 200 MiB (memory_mb)" in err), (-signal.SIGKILL, True), err)
            else:
                self.assertEqual((code, "MemoryError" in err), (1, True), err)

    @unittest.skipUnless(os.access(SYSTEM_PYTHON, os.X_OK), "needs a Python that others may run")
    @unittest.skipUnless(os.geteuid() == 0 or not MACHINE["groups"], "needs a user without control groups")
    def test_a_memory_hog_ends_without_control_groups_too(self):
        user = {"user": NOBODY, "cwd": "/", "env": {"HOME": "/"}} if os.geteuid() == 0 else {}
        hog = "held = []\nfor _ in range(100): held.append(bytearray(16 << 20))"
        for level in LEVELS:
            code, _, err = captured(
                level, SYSTEM_PYTHON, "-c", hog, words=["--memory-mb", "200"], python=SYSTEM_PYTHON, **user
            )
            self.assertEqual((code, "MemoryError" in err), (1, True), err)

    def test_who_burns_the_processor_ends(self):
        burners = [launch(level, *script("while True: pass"), words=["--cpu-s", "1"]) for level in LEVELS]
        for burner in burners:
            self.assertIn(finish(burner)[0], (-signal.SIGXCPU, -signal.SIGKILL))

    def test_who_fills_the_disk_ends(self):
        fill = "file = open('big', 'wb')\nfor _ in range(64): file.write(bytes(1 << 20)); file.flush()"
        for level in LEVELS:
            words = ["--write", self.work, "--file-mb", "8"]
            code, _, err = captured(level, *script(fill), words=words, cwd=self.work)
            self.assertEqual((code in (1, -signal.SIGXFSZ)), True, err)
            self.assertLessEqual(os.path.getsize(self.work + "/big"), 8 << 20)

    @needs("strict")
    def test_who_opens_files_without_end_is_stopped(self):
        code, _, err = captured(
            "strict", *script("held = [open('/dev/null') for _ in range(200)]"), words=["--open-files", "64"]
        )
        self.assertEqual((code, "Too many open files" in err), (1, True))

    @unittest.skipUnless(
        os.geteuid() == 0 and os.access(SYSTEM_PYTHON, os.X_OK), "the kernel counts processes of users"
    )
    def test_a_fork_bomb_ends(self):
        bomb = (
            "import os, time\nmade = 0\ntry:\n"
            "  for _ in range(400):\n"
            "    if os.fork() == 0: os.closerange(0, 3); time.sleep(30); os._exit(0)\n"
            "    made += 1\n"
            "except BlockingIOError: print('refused after', made < 60)"
        )
        for level in CONFINED:
            command = [SYSTEM_PYTHON, *stage.LAUNCH, "--level", level, "--processes", "50", "--", SYSTEM_PYTHON]
            done = subprocess.run(
                [*command, "-c", bomb],
                env={"PATH": "/usr/bin:/bin"},
                cwd="/",
                user=NOBODY,
                capture_output=True,
                text=True,
                timeout=60,
                start_new_session=True,
            )
            self.assertEqual(done.stdout, "refused after True\n", done.stderr)
            self.assertEqual(stage.running("made = 0"), [])

    def test_limits_cannot_be_raised(self):
        text = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))"
        for level in CONFINED:
            code, _, err = captured(level, *script(text), words=["--open-files", "64"])
            self.assertEqual((code, "not allowed to raise" in err), (1, True))


@needs("standard")
@unittest.skipUnless(MACHINE["groups"] == ["cpu", "memory", "pids"], "needs control groups")
class Groups(Cage):
    """The total use of all processes of a program."""

    def setUp(self):
        super().setUp()
        self.before = self.folders()

    def left(self):
        """New groups whose guard has ended; other programs of this machine may run behind walls too."""
        new = set(self.folders()).difference(self.before)
        return [path for path in new if not os.path.exists("/proc/%s" % path.rsplit(".", 2)[1])]

    def folders(self):
        found = []
        for folder, names, _ in os.walk("/sys/fs/cgroup"):
            found += [os.path.join(folder, name) for name in names if name.startswith("iron-sandbox.")]
        return found

    def test_processes_that_use_memory_together_end_at_the_limit(self):
        # Less than 100 MB of each, and more of all together.
        hog = (
            "import os, sys, time\n"
            "for _ in range(10):\n"
            "  if os.fork() == 0: held = b'x' * (30 << 20); time.sleep(20); os._exit(0)\n"
            "print(os.WTERMSIG(os.wait()[1]), flush=True); os._exit(0)"
        )
        for level in LEVELS:
            code, out, err = captured(level, *script(hog), words=["--memory-mb", "100"])
            # The kernel ends a child, or the program itself.
            self.assertIn((code, out), ((0, "9\n"), (-signal.SIGKILL, "")), err)

    def test_a_fork_bomb_of_root_ends_and_nothing_is_left_of_it(self):
        mark = "fork-bomb-%d" % os.getpid()
        # The first process ends the cage, and with it all others, which hold their places.
        bomb = (
            "import os, time\nfirst = os.getpid()\ntry:\n  while True: os.fork()\n"
            "except OSError: time.sleep(0.1 if os.getpid() == first else 60)  # %s" % mark
        )
        for level in LEVELS:
            captured(level, *script(bomb), words=["--processes", "60"])
            self.assertEqual(stage.running(mark), [])
            wait_until(lambda: self.left() == [])

    def test_a_program_gives_way_to_others_for_as_long_as_it_keeps_the_processor_busy(self):
        # A busy machine leaves it less than usual.
        eager = patched("_priority", "_priority.BUSY_SHARE = 0.01")
        burn = "import os, time\nwhile not os.path.exists('calm'): pass\nprint('calm', flush=True); time.sleep(60)"
        words = ["--level", "standard", "--write", self.work, "--", *script(burn)]
        process = subprocess.Popen([sys.executable, *eager, *words], cwd=self.work, stdout=subprocess.PIPE)
        self.addCleanup(finish, process)
        self.addCleanup(process.kill)

        def priorities():
            own = [path + "/cpu.idle" for path in self.folders() if ".%d." % process.pid in path]
            return [Path(path).read_text() for path in own if os.path.exists(path)]

        wait_until(lambda: priorities() == ["1\n"])
        Path(self.work, "calm").touch()
        process.stdout.readline()
        wait_until(lambda: priorities() == ["0\n"])

    def test_a_group_that_a_killed_guard_left_is_removed_by_the_next_with_all_in_it(self):
        mark = "left-behind-%d" % os.getpid()
        # Once it prints it has opened all of its files, for which it needs its guard.
        wait = "import os, time; os.write(1, b'ready\\n'); time.sleep(60)  # %s" % mark
        run_away = "import os; os.fork() == 0 and os.setsid(); " + wait
        process = launch("standard", *script(run_away), stdout=subprocess.PIPE, text=True)
        self.assertEqual([process.stdout.readline() for _ in range(2)], ["ready\n"] * 2)
        self.assertIn(".%d." % process.pid, " ".join(self.folders()))
        process.kill()
        process.wait()
        process.stdout.close()
        # One is left, unless the next was started by another test, beside this one.
        wait_until(lambda: len(stage.running(mark)) <= 1)
        self.assertEqual(captured("standard", "/bin/true")[0], 0)
        wait_until(lambda: stage.running(mark) == [])
        self.assertEqual(captured("standard", "/bin/true")[0], 0)
        wait_until(lambda: self.left() == [])

    def test_what_a_spare_launcher_starts_is_limited_and_the_launcher_itself_is_not(self):
        seconds = "703.%d" % os.getpid()
        for level in LEVELS:
            process = spare(env={"PATH": "/usr/bin:/bin"})
            words = ("--level", level, "--processes", "77", "--", "sleep", seconds)
            instruct(process, *words, environment={"PATH": "/usr/bin:/bin"})
            wait_until(lambda: any(map(is_program, stage.running(seconds))))
            [program] = filter(is_program, stage.running(seconds))
            name = "iron-sandbox.%s.%d." % (os.readlink("/proc/self/ns/pid")[5:-1], process.pid)
            self.assertIn(name, Path("/proc/%d/cgroup" % program).read_text())
            wait_until(lambda process=process, name=name: name not in Path("/proc/%d/cgroup" % process.pid).read_text())
            [most] = [
                path + "/pids.max" for path in self.folders() if name in path and os.path.exists(path + "/pids.max")
            ]
            self.assertEqual(Path(most).read_text(), "77\n")
            process.terminate()
            finish(process)
            wait_until(lambda: self.left() == [])

    def test_a_freezer_stops_all_of_it(self):
        reading, writing = os.pipe()
        process = launch(
            "standard",
            *script("import time\nwhile True: print(1, flush=True); time.sleep(0.01)"),
            words=["--report-fd", str(writing)],
            pass_fds=[writing],
            stdout=subprocess.PIPE,
        )
        os.close(writing)
        with open(reading) as reports:
            freezer = json.loads(reports.readline())["standing"]["freezer"]
            process.stdout.readline()
            Path(freezer).write_text("1")
            wait_until(lambda: "frozen 1" in Path(os.path.dirname(freezer), "cgroup.events").read_text())
            Path(freezer).write_text("0")
            process.stdout.readline()
            process.kill()
            process.communicate()


UNIFIED = _groups._own_folders().get("", "") if sys.platform == "linux" else ""


@needs("standard")
@unittest.skipUnless(os.geteuid() == 0 and os.access(SYSTEM_PYTHON, os.X_OK), "needs root to hand something over")
@unittest.skipUnless(os.access(UNIFIED + "/cgroup.procs", os.W_OK), "needs control groups of version 2")
class Delegation(Cage):
    """The limits for a user who was given a subtree, as a desktop session or systemd-run gives it."""

    def setUp(self):
        super().setUp()
        self.tree = "%s/iron-cage-test-%d" % (UNIFIED, os.getpid())
        for folder in (self.tree, self.tree + "/leaf"):
            os.mkdir(folder)
            self.addCleanup(os.rmdir, folder)
            for name in ("", "/cgroup.procs", "/cgroup.subtree_control"):
                os.chown(folder + name, NOBODY, NOBODY)

    def become_its_user(self):
        Path(self.tree, "leaf/cgroup.procs").write_text("0")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    def test_a_program_has_a_group_there_that_is_frozen_and_ended_as_one(self):
        mark = "delegated-%d" % os.getpid()
        text = "import os, time; os.fork() == 0 and os.setsid(); os.write(1, b'ready\\n'); time.sleep(60)  # %s" % mark
        reading, writing = os.pipe()
        words = ["--report-fd", str(writing)]
        user = {"preexec_fn": self.become_its_user, "cwd": "/", "env": {"HOME": "/"}, "pass_fds": [writing]}
        process = launch(
            "standard", SYSTEM_PYTHON, "-c", text, words=words, python=SYSTEM_PYTHON, stdout=subprocess.PIPE, **user
        )
        os.close(writing)
        self.addCleanup(finish, process)
        self.addCleanup(process.terminate)
        self.assertEqual([process.stdout.readline() for _ in range(2)], [b"ready\n"] * 2)
        with open(reading) as reports:
            freezer = Path(json.loads(reports.readline())["standing"]["freezer"])
        group = freezer.parent
        handed_on = set((Path(self.tree) / "cgroup.controllers").read_text().split()).intersection(_groups.CONTROLLERS)
        # Beside its own, which has processes, where controllers can be had.
        self.assertEqual(str(group.parent), self.tree if handed_on else self.tree + "/leaf")
        self.assertLessEqual(handed_on, set((group / "cgroup.controllers").read_text().split()))
        inside = set(map(int, (group / "cgroup.procs").read_text().split()))
        self.assertEqual(len(inside), 2)
        self.assertLessEqual(inside, set(stage.running(mark)))
        freezer.write_text("1")
        wait_until(lambda: "frozen 1" in (group / "cgroup.events").read_text())
        freezer.write_text("0")
        process.terminate()
        process.wait()
        self.assertEqual(stage.running(mark), [])
        self.assertFalse(group.exists())


@needs("standard", "strict")
class Functions(Cage):
    def test_a_function_returns_plain_data_and_reaches_nothing(self):
        held = open("/etc/hostname")
        self.addCleanup(held.close)

        @iron_sandbox.confined()
        def look(name):
            faults = []
            for attempt in (
                lambda: open("/etc/shadow"),
                lambda: os.read(held.fileno(), 1),
                lambda: os.kill(os.getppid(), 0),
            ):
                try:
                    attempt()
                    faults.append("open")
                except OSError as error:
                    faults.append(type(error).__name__)
            return {"name": name, "faults": faults}

        answer = look("x")
        self.assertEqual(answer["name"], "x")
        self.assertEqual(answer["faults"][:2], ["FileNotFoundError", "OSError"])

    def test_what_it_raises_is_told_by_kind(self):
        @iron_sandbox.confined(level="standard")
        def fail():
            raise KeyError("x")

        with self.assertRaises(iron_sandbox.SandboxError) as caught:
            fail()
        self.assertEqual(caught.exception.kind, "KeyError")

    def test_one_that_is_killed_is_an_error(self):
        @iron_sandbox.confined()
        def end():
            os.kill(os.getpid(), signal.SIGKILL)

        with self.assertRaises(iron_sandbox.SandboxError):
            end()


def filter_of(machine):
    """The filter of a limited network as it is made on ``machine``."""
    make = (
        "import os, sys; kernel = os.uname(); sys.path.insert(0, sys.argv[1])\n"
        "os.uname = lambda: os.uname_result((*kernel[:4], sys.argv[2]))\n"
        "from iron_sandbox import _seccomp\n"
        "sys.stdout.buffer.write(_seccomp.program(True, listen=False, notify=_seccomp.NOTIFIED))"
    )
    return subprocess.check_output([sys.executable, "-c", make, str(PYTHON), machine])


def verdict_of(code, arch, number, args):
    """Runs a filter as the kernel does, and returns its result for a system call."""
    lines = list(struct.iter_unpack("=HBBI", code))
    data = struct.pack("=iIQ6Q", number, arch, 0, *args, *[0] * (6 - len(args)))
    tests = {
        0x15: lambda held, value: held == value,
        0x35: lambda held, value: held >= value,
        0x45: lambda held, value: held & value,
    }
    held, at = 0, 0
    while True:
        kind, then, otherwise, value = lines[at]
        at += 1
        if kind == 0x06:
            return value
        if kind == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif kind == 0x54:
            held &= value
        else:
            at += then if tests[kind](held, value) else otherwise


class Texts(unittest.TestCase):
    def test_names_get_an_address_each_and_keep_it(self):
        names = _names.Names()
        question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x06openai\x03com\x00\x00\x01\x00\x01"
        answer = names.answer(question)
        address = ".".join(str(octet) for octet in answer[-4:])
        self.assertEqual(names.name_of(address), "api.openai.com")
        self.assertEqual(names.answer(question), answer)
        for broken in (b"", question[:20], b"\0" * 12, b"\x12\x34\x81\x80" + question[4:]):
            self.assertIsNone(names.answer(broken))

    def test_a_policy_says_what_it_expected(self):
        for options in (
            {"connect": ["x"]},
            {"allow": ["everything"]},
            {"limits": {"memory_mb": 0}},
            {"limits": {"x": 1}},
        ):
            with self.assertRaises(iron_sandbox.PolicyError):
                _policy.Policy("strict", **options)

    def test_the_filter_decides_alike_on_both_machines(self):
        refused = {code: 0x00050000 | code for code in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT)}
        denied, unknown, no_family = refused.values()
        allowed, notified, killed = 0x7FFF0000, 0x7FC00000, 0x80000000
        # Numbers on x86-64 and on aarch64, as the kernel's own tables have them.
        calls = [
            ("connect", (42, 203), (), notified),
            ("openat", (257, 56), (), notified),
            ("openat2", (437, 437), (), unknown),
            ("openat that sets the user", (257, 56), (0, 0, 0o101, 0o4755), denied),
            ("openat that creates", (257, 56), (0, 0, 0o101, 0o755), notified),
            ("openat with what is no mode", (257, 56), (0, 0, 0, 0o4755), notified),
            ("fchmod", (91, 52), (0, 0o755), allowed),
            ("fchmod that sets the user", (91, 52), (0, 0o4755), denied),
            ("fchmodat that sets the group", (268, 53), (0, 0, 0o2755), denied),
            ("mknodat that sets the user", (259, 33), (0, 0, 0o104755), denied),
            ("a pair of streams", (53, 199), (socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC), allowed),
            ("a pair of another family", (53, 199), (30, socket.SOCK_SEQPACKET), no_family),
            ("a pair of datagrams", (53, 199), (socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK), denied),
            ("read", (0, 63), (), allowed),
            ("execve", (59, 221), (), allowed),
            ("ptrace", (101, 117), (), denied),
            ("process_vm_readv", (310, 270), (), denied),
            ("unshare", (272, 97), (), denied),
            ("setns", (308, 268), (), denied),
            ("mount", (165, 40), (), denied),
            ("bpf", (321, 280), (), denied),
            ("keyctl", (250, 219), (), denied),
            ("mq_open", (240, 180), (), denied),
            ("mq_unlink", (241, 181), (), denied),
            ("io_uring_setup", (425, 425), (), denied),
            ("listen", (50, 201), (), denied),
            ("clone", (56, 220), (signal.SIGCHLD,), allowed),
            ("clone with a user namespace", (56, 220), (0x10000000 | signal.SIGCHLD,), denied),
            ("clone3", (435, 435), (), unknown),
            ("none", (9999, 9999), (), unknown),
            ("TCP", (41, 198), (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0), allowed),
            ("TCP by IPv6", (41, 198), (socket.AF_INET6, socket.SOCK_STREAM, 6), allowed),
            ("UDP", (41, 198), (socket.AF_INET, socket.SOCK_DGRAM, 0), denied),
            ("Unix", (41, 198), (socket.AF_UNIX, socket.SOCK_STREAM, 0), no_family),
            ("vsock", (41, 198), (40, socket.SOCK_STREAM, 0), no_family),
            ("ioctl", (16, 29), (0, 0x5401), allowed),
            ("TIOCSTI", (16, 29), (0, 0x5412), denied),
            ("limits of another process", (302, 261), (1, 7), denied),
        ]
        for index, (machine, arch) in enumerate((("x86_64", 0xC000003E), ("aarch64", 0xC00000B7))):
            code = filter_of(machine)
            self.assertLess(len(code) // 8, 512)
            for name, numbers, args, verdict in calls:
                self.assertEqual(verdict_of(code, arch, numbers[index], args), verdict, (machine, name))
            self.assertEqual(verdict_of(code, 0x40000003, 20, ()), killed)

    def test_explain_names_every_level(self):
        self.assertEqual(tuple(MACHINE["levels"]), ALL_LEVELS)
        self.assertEqual(json.loads(json.dumps(MACHINE)), MACHINE)

    def test_another_system_has_no_level_and_runs_nothing(self):
        pretend = (
            "import ctypes, json, os, sys; kernel = os.uname(); sys.path.insert(0, sys.argv[1])\n"
            "os.uname = lambda: os.uname_result(('Darwin', *kernel[1:]))\n"
            "class Library: pass\n"
            "ctypes.CDLL = lambda *_, **__: Library()\n"
            "import iron_sandbox; from iron_sandbox._main import main\n"
            "print(json.dumps(iron_sandbox.explain()['levels']), flush=True)\n"
            "try: iron_sandbox.confined()(lambda: print('runs'))()\n"
            "except iron_sandbox.SandboxError as error: print(error.kind, flush=True)\n"
            "print([main(['--level', level, '--', '/bin/echo', 'runs']) for level in ('auto', *iron_sandbox.explain()['levels'])])"
        )
        done = subprocess.run([sys.executable, "-c", pretend, str(PYTHON)], capture_output=True, text=True)
        levels, kind, codes = done.stdout.splitlines()
        self.assertEqual(json.loads(levels), dict.fromkeys(ALL_LEVELS, "needs Linux on x86-64 or aarch64"), done.stderr)
        self.assertEqual((kind, codes), ("exit", "[126, 126, 126, 126]"), done.stderr)
        self.assertEqual(done.stderr.count("needs Linux on x86-64 or aarch64"), 5)

    def test_what_this_machine_cannot_build_is_refused(self):
        for level in FAULTS:
            code, out, err = captured(level, "/bin/echo", "runs")
            self.assertEqual((code, out, "was not started" in err), (126, "", True), err)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main()
