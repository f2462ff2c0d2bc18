from __future__ import annotations

import ast
import json
import subprocess
import sys
import types
import typing
import unittest
from pathlib import Path

import server  # noqa: F401  (first: it finds iron_cage)

import iron_cage
from iron_cage import protocol

PACKAGE = Path(iron_cage.__file__).parent
#: Need a framework; python/tests/frameworks tests them with it.
INTEGRATIONS = {"IronCageCallbackHandler", "IronCageChain"}


class Package(unittest.TestCase):
    def test_all_names_what_there_is_and_nothing_else(self) -> None:
        public = {
            name
            for name in dir(iron_cage)
            if not name.startswith("_")
            and name not in INTEGRATIONS
            and not isinstance(getattr(iron_cage, name), types.ModuleType)
            and name not in ("annotations", "TYPE_CHECKING")
        }
        self.assertEqual(public, set(iron_cage.__all__))
        self.assertEqual(list(iron_cage.__all__), sorted(iron_cage.__all__))

    def test_help_and_inspect_work_without_a_framework(self) -> None:
        code = (
            "import inspect, pydoc, unittest.mock\n"
            "import iron_cage\n"
            "unittest.mock.create_autospec(iron_cage)\n"
            "print(len(pydoc.render_doc(iron_cage)) > 1000, 'IronCageChain' in dict(inspect.getmembers(iron_cage)))\n"
            "try: from iron_cage import IronCageChain\n"
            "except ImportError as error: print(error)\n"
        )
        bare = [sys.executable, "-S", "-c", f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n{code}"]
        printed = subprocess.run(bare, capture_output=True, text=True, check=True).stdout.splitlines()
        self.assertEqual(
            printed, ["True False", 'IronCageChain needs langchain_core: pip install "iron-cage[langchain]"']
        )

    def test_no_module_imports_itself_by_way_of_others_not_even_for_its_types(self) -> None:
        modules = {file.stem: ast.parse(file.read_text()) for file in PACKAGE.glob("*.py")}
        imports = {
            name: {
                node.module
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module in modules
            }
            for name, tree in modules.items()
        }
        # The package only exports names of its modules.
        del imports["__init__"]
        for name in imports:
            reached: set[str] = set()
            ahead = set(imports[name])
            while ahead:
                reached |= ahead
                ahead = {further for module in ahead for further in imports[str(module)]} - reached
            self.assertNotIn(name, reached)

    def test_no_two_classes_have_one_name(self) -> None:
        names = [
            node.name
            for file in PACKAGE.glob("*.py")
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.ClassDef)
        ]
        self.assertEqual(sorted(names), sorted(set(names)))

    def test_every_public_name_is_documented(self) -> None:
        for name in iron_cage.__all__:
            self.assertTrue((getattr(iron_cage, name).__doc__ or "").strip(), name)

    @unittest.skipIf(sys.version_info < (3, 10), "`int | None` cannot be evaluated there")
    def test_frameworks_can_read_the_types_of_functions(self) -> None:
        for name in ("scan", "progress", "checkpoint", "restore", "record_cost", "request_budget", "current_budget"):
            self.assertIn("return", typing.get_type_hints(getattr(iron_cage, name)), name)

    def test_the_drawn_tree_of_exceptions_is_the_real_one(self) -> None:
        for name in iron_cage.__all__:
            value = getattr(iron_cage, name)
            if isinstance(value, type) and issubclass(value, Exception):
                self.assertIn(f"{name} ", iron_cage.__doc__ or "")
                self.assertTrue(issubclass(value, iron_cage.IronCageError))

    def test_importing_it_loads_nothing_heavy(self) -> None:
        heavy = "asyncio dataclasses decimal http.client inspect json logging socket ssl threading typing urllib.parse"
        code = f"import sys; before = set(sys.modules); import iron_cage; print(*set(sys.modules) - before & set({heavy.split()!r}))"
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path.append({str(PACKAGE.parent)!r}); {code}"],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stdout.strip(), "")

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with self.assertRaises(AttributeError):
            iron_cage.protect  # noqa: B018

    def test_it_says_that_it_is_typed(self) -> None:
        self.assertTrue((PACKAGE / "py.typed").is_file())


class Protocol(unittest.TestCase):
    def test_the_package_carries_the_data_protocol(self) -> None:
        expected = {"event", "call", "report", "telemetry", "lease-request", "lease-request-answer"}
        self.assertLessEqual(expected, set(protocol.names()))
        for name in protocol.names():
            self.assertEqual(protocol.schema(name)["$schema"], "http://json-schema.org/draft-07/schema#", name)
        event = protocol.schema("event")
        event.clear()
        self.assertNotEqual(protocol.schema("event"), event)
        with self.assertRaises(KeyError):
            protocol.schema("nothing")

    def test_every_event_and_field_of_the_released_protocol_is_still_there(self) -> None:
        released = json.loads((Path(__file__).parent / "protocol-0.3.0.json").read_text(encoding="utf-8"))
        present = fields(protocol.schema("event"))
        self.assertGreater(len(present), 50)
        for kind, names in fields(released["schemas"]["event"]).items():
            self.assertLessEqual(names, present[kind], kind)


def fields(schema: dict[str, typing.Any]) -> dict[str, set[str]]:
    """The fields of the data of each type of event."""
    found: dict[str, set[str]] = {}
    for option in schema["definitions"]["RuntimeEvent"]["anyOf"]:
        kind, data = option["properties"]["type"], option["properties"]["data"]
        if "$ref" in data:
            data = schema["definitions"][data["$ref"].rsplit("/", 1)[1]]
        for name in kind.get("enum", [kind.get("const")]):
            found[name] = set(data.get("properties", ()))
    return found


if __name__ == "__main__":
    unittest.main()
