"""The package as installed from the package index: built, installed, typed, and as old as declared."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[1]
PACKAGE = PYTHON / "iron_cage"

#: Uses everything whose types should come through: each line expects one answer of a type checker.
TYPED = """
from typing import AsyncIterator, Iterator
import iron_cage
from iron_cage import AgentRuntime, CircuitBreaker, fallback, protect_agent

@protect_agent
def bare(question: str, *, loud: bool = False) -> int: return 1
@protect_agent(budget=5, circuit_breaker=CircuitBreaker("x"))
async def called(question: str) -> int: return 1
@protect_agent(budget="5")
def pieces(count: int) -> Iterator[str]: yield ""
@fallback([])
def search(query: str) -> list[str]: return [query]
@protect_agent
async def pieces_async(count: int) -> AsyncIterator[str]: yield ""

reveal_type(bare)
reveal_type(called)
reveal_type(pieces)
reveal_type(pieces_async)
reveal_type(search)
reveal_type(iron_cage.restore(0))
with AgentRuntime(budget="5") as runtime:
    reveal_type(runtime.budget.remaining)
bare(5)
"""
REVEALED = (
    "def (question: str, *, loud: bool =) -> int",
    "def (question: str) -> Coroutine[Any, Any, int]",
    "def (count: int) -> Iterator[str]",
    "def (count: int) -> AsyncIterator[str]",
    "def (query: str) -> list[str]",
    'Revealed type is "int"',
    "decimal.Decimal",
    'error: Argument 1 to "bare" has incompatible type "int"; expected "str"',
)


def run(*command: object, folder: Path = PYTHON) -> str:
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=1_800)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source")
    # A copy: building leaves folders beside the sources. Without files that other processes compile meanwhile.
    shutil.copytree(PACKAGE, source / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "iron_runtime.py", "hatch_build.py", "no_program.py"):
        shutil.copy(PYTHON / name, source)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source)
    return folder


def test_every_file_is_python_3_9() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 15
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=(3, 9))
        # Newer syntax in annotations is text there, as long as they are not evaluated.
        futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        assert any(name.name == "annotations" for node in futures for name in node.names), file


def test_mypy_strict_has_nothing_to_say() -> None:
    pytest.importorskip("mypy")
    assert "Success" in run(sys.executable, "-m", "mypy", "iron_cage")


def test_pyright_has_nothing_to_say() -> None:
    pytest.importorskip("basedpyright")
    assert "0 errors, 0 warnings" in run(sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable)


def test_the_types_of_its_public_names_are_complete() -> None:
    """But for the base class of CrewAI, which is not installed beside the others."""
    pytest.importorskip("basedpyright")
    environment = {
        **os.environ,
        "PYTHONPATH": str(PYTHON),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = (sys.executable, "-m", "basedpyright", "--verifytypes", "iron_cage", "--ignoreexternal")
    printed = subprocess.run(command, cwd=PYTHON, env=environment, capture_output=True, text=True).stdout
    score = re.search(r"Type completeness score: ([\d.]+)%", printed)
    assert score and float(score[1]) >= 98, printed


def test_types_of_decorated_functions_come_through(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "typed.py").write_text(TYPED)
    # With the settings and the cache of the test above: frameworks take mypy a minute to read.
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "iron_cage", tmp_path / "typed.py"]
    done = subprocess.run(command, cwd=PYTHON, capture_output=True, text=True)
    for line in REVEALED:
        assert line in done.stdout.replace("typing.", "").replace("builtins.", ""), done.stdout


def test_the_wheel_holds_the_package_and_its_types_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {
        str(file.relative_to(PYTHON))
        for file in [*PACKAGE.rglob("*.py"), PACKAGE / "py.typed", PACKAGE / "protocol.json"]
    }
    version = wheel.name.split("-")[1]
    assert files == package | {"iron_runtime.py", f"iron_cage-{version}.data/scripts/iron-cage"}


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_what_was_built_installs_and_works_without_anything_else(built: Path, kind: str, tmp_path: Path) -> None:
    (archive,) = built.glob(kind)
    site = tmp_path / "site-packages"
    # The backend is that of the tests' environment: no registry is asked. uv takes a tenth of the time of pip.
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", site)
    uv = Path(sys.executable).with_name("uv")
    installer = (
        (uv, "pip", "install", "--python", sys.executable) if uv.exists() else (sys.executable, "-m", "pip", "install")
    )
    run(*installer, *options, archive, folder=tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import iron_cage, importlib.metadata as m\n"
        "with iron_cage.MockRuntime(budget=1) as runtime: print(iron_cage.ChatClient().complete('x', []).text)\n"
        "print(iron_cage.__version__ == m.version('iron-cage'), 'site-packages' in iron_cage.__file__)\n"
        "print('iron_cage.testing = iron_cage.testing' in m.distribution('iron-cage').read_text('entry_points.txt'))\n"
        "print(m.requires('iron-cage') and all('extra' in line for line in m.requires('iron-cage')))\n"
    )
    lines = run(sys.executable, "-I", "-c", code, folder=tmp_path).splitlines()
    assert lines == ["Mock reply.", "True True", "True", "True"]
    # Named by hand, the plugin that came with the package is not another one.
    (tmp_path / "test_it.py").write_text("def test_it(iron_cage): pass")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = (sys.executable, "-m", "pytest", "-q", "-p", "iron_cage.testing", "test_it.py")
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
