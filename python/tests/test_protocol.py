"""The published data protocol, judged by a validator of Python: what a run really records fits it, and nothing else does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from program import PROGRAM, enter_folder, open_provider

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
#: What providers report may have any form.
FREE = {"price", "usage"}
Message = dict[str, Any]


def validator(of: Message) -> Draft7Validator:
    Draft7Validator.check_schema(of)
    return Draft7Validator(of)


def released(name: str) -> Message:
    """A schema as the released version has it."""
    protocol = json.loads((Path(__file__).parent / "protocol-0.3.0.json").read_text(encoding="utf-8"))
    found: Message = protocol["schemas"][name]
    return found


def damaged(message: Message) -> Iterator[Message]:
    """The message with one field less, and with a value in one field that none has."""
    for key in message:
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
    def command(*words: str) -> str:
        done = subprocess.run(["node", str(PROGRAM), *words], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (folder / "agent.py").write_text(AGENT)
    command("start", "agent.py", "--budget", "1")
    [agent] = json.loads(command("ps", "--all", "--json"))
    events = [json.loads(line) for line in command("logs", agent["id"], "--verbose", "--json").splitlines()]
    calls = json.loads(command("budget", "calls", agent["id"], "--json"))
    return events, calls, json.loads(command("report", agent["id"], "--format", "json"))["costs"]


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
            # What the version before sends is accepted, and it reads what is sent now.
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
