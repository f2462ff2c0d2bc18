"""The published data protocol, judged by a validator of Python: the records of a real run fit it, and wrong ones do
not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from panel import Listener, command, open_panel, put_copy_in_place
from program import enter_folder, open_provider

from iron_cage.protocol import names, schema

AGENT = """
import json, os, urllib.request
body = {"model": "penny", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello."}]}
for _ in range(2):
    urllib.request.urlopen(urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})).read()
print("done")
"""
#: Reports of providers may have any form.
FREE = {"price", "usage"}
Message = dict[str, Any]


def validator(of: Message) -> Draft7Validator:
    Draft7Validator.check_schema(of)
    return Draft7Validator(of)


RELEASED: dict[str, Message] = json.loads((Path(__file__).parent / "protocol-0.3.0.json").read_text(encoding="utf-8"))[
    "schemas"
]


def released(name: str) -> Message:
    """A schema as the released version has it."""
    return RELEASED[name]


def damaged(message: Message, of: Message | None = None) -> Iterator[Message]:
    """The message with one field less that it must have, and with a value in one field that none has.

    of: its schema, which lists the required fields. (Default: every field.)
    """
    for key in message:
        if of is None or key in of["required"]:
            yield {name: value for name, value in message.items() if name != key}
        if key not in FREE:
            yield {**message, key: [{"not": "this"}]}


@pytest.mark.parametrize("name", names())
def test_each_is_a_schema_for_python_as_well(name: str) -> None:
    assert validator(schema(name))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Message], list[Message], Message]]:
    """The events, the calls and the costs of a run."""
    with pytest.MonkeyPatch.context() as monkeypatch, open_provider() as provider:
        yield run_in(enter_folder(tmp_path_factory.mktemp("run"), provider, monkeypatch))


def run_in(folder: Path) -> tuple[list[Message], list[Message], Message]:
    (folder / "agent.py").write_text(AGENT)
    command(folder, "start", "agent.py", "--budget", "1")
    [agent] = json.loads(command(folder, "ps", "--all", "--json"))
    events = [json.loads(line) for line in command(folder, "logs", agent["id"], "--verbose", "--json").splitlines()]
    calls = json.loads(command(folder, "budget", "calls", agent["id"], "--json"))
    return events, calls, json.loads(command(folder, "report", agent["id"], "--format", "json"))["costs"]


def test_what_a_run_records_fits_the_schemas_and_what_is_damaged_does_not(
    run: tuple[list[Message], list[Message], Message],
) -> None:
    events, calls, report = run
    assert {"agent.started", "call.completed", "agent.output", "agent.exited"} <= {event["type"] for event in events}
    assert len(calls) == 2
    telemetry = {"journal_id": "j", "after": 0, "through": events[-1]["seq"], "lost": None, "events": events}
    messages = {"event": events, "call": calls, "report": [report], "telemetry": [telemetry]}
    for name, known in messages.items():
        now, before = validator(schema(name)), validator(released(name))
        for message in known:
            now.validate(message)
            # Messages of the previous version are accepted, and that version reads the current ones.
            before.validate(message)
    data = [{**event, "data": {**event["data"], key: [{"not": "this"}]}} for event in events for key in event["data"]]
    wrong = {
        "event": data + [one for event in events for one in damaged(event)],
        "call": [one for call in calls for one in damaged(call)],
        "telemetry": list(damaged(telemetry)),
    }
    for name, refused in wrong.items():
        judge = validator(schema(name))
        for message in refused:
            assert not judge.is_valid(message), (name, message)


def test_a_reader_of_the_version_before_takes_fields_that_it_does_not_know(
    run: tuple[list[Message], list[Message], Message],
) -> None:
    events, calls, report = run
    added = {"added_later": {"x": 1}}
    before = validator(released("event"))
    for event in events:
        before.validate({**event, **added, "data": {**event["data"], **added}})
    for call in calls:
        validator(released("call")).validate({**call, **added})
    validator(released("report")).validate({**report, **added})
    # It finds a type that it does not know by that, and leaves it out.
    assert not before.is_valid({**events[0], "type": "agent.invented"})


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """The messages of a machine and its Control Panel in two runs; the panel's file was restored between them."""
    between = Listener()
    try:
        with pytest.MonkeyPatch.context() as monkeypatch, open_provider() as provider:
            folder = enter_folder(tmp_path_factory.mktemp("machine"), provider, monkeypatch)
            listen_to_two_runs(between, folder, tmp_path_factory.mktemp("panel"))
        yield between
    finally:
        between.close()


def listen_to_two_runs(between: Listener, folder: Path, books: Path) -> None:
    (folder / "agent.py").write_text(AGENT)
    with open_panel(books) as link:
        between.panel = link.split("/#")[0]
        admin = {"IRON_CAGE_URL": between.panel, "HOME": str(books)}
        command(books, "login", "--link", link, **admin)
        command(books, "budget", "set", "--org", "5", **admin)
        command(folder, "join", between.url, "--token", command(books, "runtimes", "invite", **admin).strip())
        command(folder, "start", "agent.py", "--budget", "1")
    put_copy_in_place(books)
    with open_panel(books) as link:
        between.panel = link.split("/#")[0]
        command(folder, "start", "agent.py", "--budget", "1")


@pytest.mark.parametrize("name", ["open", "request", "report", "present"])
def test_what_a_machine_and_its_panel_say_of_leases_fits_and_what_is_damaged_does_not(
    listener: Listener, name: str
) -> None:
    said, answers = listener.messages(f"/api/leases/{name}")
    assert said
    assert bool(answers) == (f"lease-{name}-answer" in names())
    for kind, messages in ((f"lease-{name}", said), (f"lease-{name}-answer", answers)):
        if not messages:
            continue
        now = validator(schema(kind))
        # A panel is updated before its machines: machines of the previous version read its answers.
        before = validator(RELEASED.get(kind, {}) if kind.endswith("-answer") else {})
        for message in messages:
            now.validate(message)
            before.validate(message)
            for wrong in damaged(message, schema(kind)):
                assert not now.is_valid(wrong), (kind, wrong)
        assert now.is_valid({**messages[0], "added_later": 1}) == kind.endswith("-answer")


def test_the_telemetry_of_a_machine_and_its_answer_fit(listener: Listener) -> None:
    said, answers = listener.messages("/api/telemetry")
    assert said
    assert len(said) == len(answers)
    for kind, messages in (("telemetry", said), ("telemetry-answer", answers)):
        for message in messages:
            validator(schema(kind)).validate(message)
            validator(released(kind)).validate(message)


def test_every_message_of_leases_was_said(listener: Listener) -> None:
    said = {path.rsplit("/", 1)[1] for path, _, _ in listener.heard if path.startswith("/api/leases/")}
    listed = {name.replace("-answer", "") for name in names() if name.startswith("lease-")}
    assert {f"lease-{route}" for route in said} == listed
