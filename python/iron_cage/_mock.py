"""``MockRuntime``: a cage in memory, for tests. It answers as the server does, from ordinary Python objects."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ._cage import Cage
from ._circuit import Circuit
from ._errors import CircuitOpen, IronCageError
from ._http import Answer
from ._link import Link
from ._mock_formats import ModelRequest, embeddings, model_request
from ._mock_llm import MockCall, MockLLM, MockReply, text_of
from ._mock_pii import redact
from ._runtime import AgentRuntime, limit_of, safety_mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._pii_types import PiiType
    from ._runtime import Money, PiiDetection
    from ._values import BudgetRequest, Finding

_AGENT_ID = "mock-00000000"
_TOKEN = "run_mock"


@dataclass(frozen=True)
class MockEvent:
    """One thing that an agent reported, or that happened to it."""

    #: As on the server: ``progress.updated``, ``unit.completed``, ``agent.output``, ``service.called``,
    #: ``fallback.used``, ``pii.found``, ``call.completed``, ``call.failed``, ``circuit.opened``, ``budget.requested``.
    type: str
    data: dict[str, Any] = field(default_factory=dict)


class MockRuntime(AgentRuntime):
    """A cage in memory, for tests: no server, no network, the same every time. Use it as ``AgentRuntime``::

        with MockRuntime(budget=1) as runtime:
            runtime.llm.reply("Hello", cost_usd="0.25")
            assert my_agent() == "Hello"
            assert runtime.budget.spent == Decimal("0.25")

    Inside the block everything of ``iron_cage`` talks to it: ``protect_agent``, ``AgentRuntime``, ``CircuitBreaker``,
    ``ChatClient``, ``progress``, ``checkpoint`` and the rest. Clients of other packages need an address to connect to,
    which ``listen=True`` gives them: a thread answers on a free port of this machine, and ``OPENAI_BASE_URL``,
    ``ANTHROPIC_BASE_URL`` and ``GOOGLE_GEMINI_BASE_URL`` name it. It answers chat completions, responses, messages,
    ``generateContent`` and embeddings, whole and streamed.

    budget: hard limit in US dollars.
    pii_detection: ``True`` or ``"redact"``, ``"block"``, ``"warn"`` or ``False``, for replies.
    listen: whether clients of other packages can call it.

    Time stands still but for ``pass_time``.
    """

    def __init__(
        self, budget: Money = 100, *, pii_detection: PiiDetection = True, name: str = "mock", listen: bool = False
    ) -> None:
        super().__init__(budget=budget, pii_detection=pii_detection, name=name)
        #: Answers the agent's calls of models.
        self.llm: MockLLM = MockLLM()
        self._mock = MockServer(
            self.llm, Decimal(limit_of(budget) or "0"), safety_mode(pii_detection) or "redact", name
        )
        self._cage = Cage(MockConnector(self._mock, listen), self)

    @property
    def events(self) -> list[MockEvent]:
        """The agent's reports and events, oldest first."""
        return self._mock.events

    @property
    def findings(self) -> list[Finding]:
        """Personal data in replies so far. Positions are those of each reply."""
        return self._mock.findings

    @property
    def calls(self) -> list[MockCall]:
        """Every call of a model so far, refused ones too."""
        return self.llm.calls

    @property
    def requests(self) -> list[BudgetRequest]:
        """The agent's requests (``request_budget``), oldest first, in their present state."""
        from ._values import request_from

        return [request_from(request) for request in self._mock.requests.values()]

    def approve(self, request_id: str) -> None:
        """As a person does: the limit is raised by the requested amount. KeyError for an unknown request."""
        self._mock.decide(request_id, "approved")

    def reject(self, request_id: str, reason: str | None = None) -> None:
        """As a person does. ``reason``: the agent's ``decision``. KeyError for an unknown request."""
        self._mock.decide(request_id, "rejected", reason)

    @property
    def circuits(self) -> dict[str, str]:
        """``closed``, ``open`` or ``half_open`` by name, of those that were used."""
        return {name: circuit.state for name, circuit in self._mock.circuits.items()}

    def open_circuit(self, name: str, for_s: float = 60.0) -> None:
        """As if the provider or service of that name had failed too often: a service of the agent, ``openai`` or ``anthropic``."""
        self._mock.circuit(name).open(self._mock.now + for_s)

    def pass_time(self, seconds: float) -> None:
        """Lets circuits cool down."""
        self._mock.now += seconds

    def spend(self, usd: Money) -> None:
        """Spends money that no call did, to begin a test with little left. Not refused when it is too much."""
        self._mock.accounts[_TOKEN].spent += Decimal(str(usd))


class MockConnector:
    """Connects to a cage in memory, which is never part of another."""

    def __init__(self, mock: MockServer, listens: bool) -> None:
        self.joined: Cage | None = None
        self._mock = mock
        self._listens = listens
        self._socket: Any = None

    def connect(self) -> Link:
        url = "http://iron-cage.mock"
        if self._listens:
            self._socket = _listen(self._mock)
            url = f"http://127.0.0.1:{self._socket.server_address[1]}"
        return Link(url, _TOKEN, self._mock, _AGENT_ID)

    def disconnect(self, error: BaseException | None) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.shutdown()
            socket.server_close()


@dataclass
class Account:
    """The budget of the agent or of a part of its work."""

    limit: Decimal
    within: Account | None
    spent: Decimal = Decimal(0)

    @property
    def all(self) -> list[Account]:
        return [self, *(self.within.all if self.within is not None else [])]

    @property
    def remaining(self) -> Decimal:
        return max(Decimal(0), min(account.limit - account.spent for account in self.all))

    def as_json(self) -> dict[str, Any]:
        used = float(self.spent / self.limit * 100) if self.limit else 100.0
        return {
            "limit_usd": str(self.limit),
            "spent_usd": str(self.spent),
            "held_usd": "0",
            "remaining_usd": str(self.remaining),
            "used_percent": used,
            "warned": used >= 90,
        }


class MockServer:
    """Answers requests as the server does; as an ``Endpoint`` does for a real one."""

    def __init__(self, llm: MockLLM, limit: Decimal, mode: str, name: str) -> None:
        self.llm = llm
        self.mode = mode
        self.name = name
        self.now = 0.0
        self.accounts = {_TOKEN: Account(limit, None)}
        self.circuits: dict[str, Circuit] = {}
        self.events: list[MockEvent] = []
        self.findings: list[Finding] = []
        self.requests: dict[str, dict[str, Any]] = {}
        self._permits: dict[str, tuple[Circuit, int, dict[str, Any]]] = {}
        self._checkpoint: Any = None
        self._has_checkpoint = False
        self._lock = threading.RLock()

    def circuit(self, name: str) -> Circuit:
        return self.circuits.setdefault(name, Circuit(name))

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        content = json.loads(body) if body else {}
        with self._lock:
            try:
                if path.startswith("/gateway/"):
                    return self._call_model(path, content)
                answer = self._run_api(method, path, headers, content)
            except IronCageError as error:
                return _refusal(error)
        return Answer(204 if answer is None else 200, {}, b"" if answer is None else json.dumps(answer).encode())

    def stream(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[Answer, Iterator[bytes]]:
        answer = self.request("POST", path, headers, body)
        lines = iter(answer.body.splitlines(keepends=True))
        answer.body = b""
        return answer, lines

    def _run_api(self, method: str, path: str, headers: Mapping[str, str], content: Any) -> Any:
        token = {name.lower(): value for name, value in headers.items()}.get("authorization", "")[len("Bearer ") :]
        account = self.accounts.get(token)
        if account is None:
            raise IronCageError("this run has ended", code="unauthorized", status=401)
        route = f"{method} {path[len('/api/run') :]}"
        if route in ("GET ", "GET /"):
            return {
                "agent_id": _AGENT_ID,
                "name": self.name,
                "safety_mode": self.mode,
                "budget": account.as_json(),
            }
        if route == "POST /begin":
            limit = Decimal(content["budget_usd"]) if "budget_usd" in content else account.limit
            part = f"{_TOKEN}_{len(self.accounts)}"
            self.accounts[part] = Account(limit, account)
            return {"agent_id": _AGENT_ID, "run_id": part, "token": part}
        if route == "POST /end":
            return None
        if route == "GET /metrics":
            return self._metrics()
        if route == "POST /scan":
            redacted, found = redact(content["text"])
            return {"redacted": redacted, "findings": [_finding(one, content["text"]) for one in found]}
        if route == "PUT /checkpoint":
            self._checkpoint, self._has_checkpoint = content["data"], True
            return {"version": 1}
        if route == "GET /checkpoint":
            if not self._has_checkpoint:
                raise IronCageError("there is no checkpoint", code="not_found", status=404)
            return {"data": self._checkpoint}
        if route == "POST /charges":
            cost = Decimal(content["cost_usd"])
            self._require(account, cost)
            self._charge(account, cost)
            self._record("service.called", service=content["service"], cost_usd=content["cost_usd"])
            return {"budget": account.as_json()}
        if route == "POST /budget-requests":
            return self._request_budget(content)
        asked = re.fullmatch(r"GET /budget-requests/(.+)", route)
        if asked is not None:
            if asked[1] not in self.requests:
                raise IronCageError(f"there is no request {asked[1]}", code="not_found", status=404)
            return self.requests[asked[1]]
        service = re.fullmatch(r"POST /services/([\w.-]+)/(begin|end)", route)
        if service is not None:
            return self._service(service[1], service[2], content)
        reports = {
            "POST /progress": "progress.updated",
            "POST /outcomes": "unit.completed",
            "POST /events": "agent.output",
        }
        if route in reports:
            self._record(reports[route], **content)
            return None
        raise IronCageError(f"a mocked cage does not answer {route}", code="not_found", status=404)

    def decide(self, request_id: str, state: str, decision: str | None = None) -> None:
        with self._lock:
            request = self.requests[request_id]
            if request["state"] != "pending":
                raise ValueError(f"{request_id} was {request['state']}")
            request.update(state=state, decision=decision)
            if state == "approved":
                self.accounts[_TOKEN].limit += Decimal(request["add_usd"])

    def _request_budget(self, content: Any) -> dict[str, Any]:
        reason, _ = redact(content["reason"])
        asked = {"add_usd": content["add_usd"], "reason": reason, "state": "pending"}
        pending = [one for one in self.requests.values() if one["state"] == "pending"]
        for one in pending:
            if asked.items() <= one.items():
                return one
        if len(pending) >= 3:
            raise IronCageError("3 requests of this agent wait for a decision", code="conflict", status=409)
        request = {**asked, "id": f"req-{len(self.requests) + 1}", "budget": "agent", "decision": None}
        self.requests[request["id"]] = request
        self._record("budget.requested", request_id=request["id"], add_usd=request["add_usd"], reason=reason)
        return request

    def _service(self, name: str, step: str, content: Any) -> Any:
        circuit = self.circuit(name)
        if step == "begin":
            ticket = circuit.admit(content["cooldown_s"], content["timeout_s"], self.now)
            permit = f"permit-{len(self._permits)}"
            self._permits[permit] = (circuit, ticket, content)
            return {"permit": permit}
        if content["outcome"] == "fallback":
            self._record("fallback.used", service=name, why=content["reason"])
            return None
        circuit, ticket, settings = self._permits[content["permit"]]
        self._conclude(circuit, ticket, content["outcome"], settings["failures"], settings["cooldown_s"])
        return None

    def _conclude(self, circuit: Circuit, ticket: int, outcome: Any, failures: int, cooldown_s: float) -> None:
        was_open = circuit.state == "open"
        circuit.conclude(ticket, outcome, failures, cooldown_s, self.now)
        if circuit.state == "open" and not was_open:
            self._record("circuit.opened", circuit=circuit.name)

    def _call_model(self, path: str, content: Any) -> Answer:
        request = model_request(path, content)
        account = self.accounts.get(request.token) if request is not None else None
        if request is None or account is None:
            raise IronCageError(f"a mocked cage does not answer {path}", code="not_found", status=404)
        reply = self.llm.next_reply() if request.format else MockReply("", self.llm.embedding_cost_usd)
        cost = self.llm.cost_usd if reply.cost_usd is None else reply.cost_usd
        circuit = self.circuit(request.provider)
        try:
            ticket = circuit.admit(60.0, 600.0, self.now)
            if reply.status == 200:
                self._require(account, cost)
        except IronCageError as error:
            self._note(request, None, Decimal(0), error.code)
            raise
        if request.format is not None:
            self.llm.take_reply()
        text = text_of(reply.answer, request.messages)
        if reply.status >= 400:
            self._note(request, None, Decimal(0), f"http_{reply.status}")
            is_outage = reply.status == 429 or reply.status >= 500
            self._conclude(circuit, ticket, "failed" if is_outage else "ignored", 5, 60.0)
            failure = {"error": {"message": text, "type": "server_error", "code": "mocked"}}
            return Answer(reply.status, {"x-should-retry": "false"}, json.dumps(failure).encode())
        self._conclude(circuit, ticket, "succeeded", 5, 60.0)
        self._charge(account, cost)  # before the answer is judged: it was paid
        safe, found = self._judge(request, text, cost)
        self._note(request, safe, cost)
        headers = {
            "content-type": "text/event-stream" if request.is_streamed else "application/json",
            "x-iron-cage-cost-usd": str(cost),
            "x-iron-cage-remaining-usd": str(account.remaining),
            "x-iron-cage-redactions": str(found if self.mode == "redact" else 0),
        }
        if request.format is None:
            return Answer(200, headers, json.dumps(embeddings(request, content)).encode())
        said = safe if safe or not reply.tool_calls else None
        whole = request.format.reply(said, model=request.model, tool_calls=reply.tool_calls)
        return Answer(200, headers, request.format.stream(whole) if request.is_streamed else json.dumps(whole).encode())

    def _judge(self, request: ModelRequest, text: str, cost: Decimal) -> tuple[str, int]:
        """Returns the redacted reply and the number of findings. Raises IronCageError in block mode."""
        redacted, found = redact(text)
        self.findings += [_found(one) for one in found]
        kinds = sorted({kind for kind, _, _ in found})
        for kind in kinds:
            self._record("pii.found", pii_type=kind, action=self.mode)
        if found and self.mode == "block":
            types = ",".join(kinds)
            self._note(request, None, cost, "pii_blocked")
            raise IronCageError(
                f"the reply held personal data ({types})", code="pii_blocked", status=422, facts={"types": types}
            )
        return redacted if self.mode == "redact" else text, len(found)

    def _note(self, request: ModelRequest, text: str | None, cost_usd: Decimal, code: str | None = None) -> None:
        self.llm.calls.append(MockCall(request.provider, request.model, request.messages, text, cost_usd, code))
        type = "call.failed" if code else "call.completed"
        self._record(type, model=request.model, cost_usd=str(cost_usd), code=code)

    def _require(self, account: Account, cost: Decimal) -> None:
        for one in account.all:
            if one.spent + cost > one.limit:
                raise IronCageError(
                    f"the agent needs ${cost} but has ${max(Decimal(0), one.limit - one.spent)} of ${one.limit} left",
                    code="budget_exceeded",
                    status=402,
                    facts={"limit_usd": str(one.limit), "spent_usd": str(one.spent), "needed_usd": str(cost)},
                )

    def _charge(self, account: Account, cost: Decimal) -> None:
        for one in account.all:
            one.spent += cost

    def _record(self, type: str, /, **data: Any) -> None:
        self.events.append(MockEvent(type, data))

    def _metrics(self) -> dict[str, Any]:
        answered = [call for call in self.llm.calls if call.code is None]
        outcomes = [event.data["outcome"] for event in self.events if event.type == "unit.completed"]
        by_model: dict[str, dict[str, Any]] = {}
        for call in answered:
            model = by_model.setdefault(
                call.model, {"calls": 0, "cost_usd": "0", "input_tokens": 0, "output_tokens": 0}
            )
            model["calls"] += 1
            model["cost_usd"] = str(Decimal(model["cost_usd"]) + call.cost_usd)
            model["input_tokens"] += 10
            model["output_tokens"] += 10
        pii: dict[str, int] = {}
        for finding in self.findings:
            pii[finding.type] = pii.get(finding.type, 0) + 1
        return {
            "calls": {"completed": len(answered), "failed": len(self.llm.calls) - len(answered)},
            "spent_usd": str(self.accounts[_TOKEN].spent),
            "pii": pii,
            "outcomes": {"succeeded": outcomes.count("succeeded"), "failed": outcomes.count("failed")},
            "by_model": by_model,
            "figures": {},
        }


def _refusal(error: IronCageError) -> Answer:
    headers = {"content-type": "application/json", "x-should-retry": "false"}
    if isinstance(error, CircuitOpen):
        error.status = 503
        headers["retry-after"] = str(error.facts["retry_after_s"])
    body = {"error": {"code": error.code, "message": str(error), "facts": error.facts, "request_id": "req-mock"}}
    return Answer(error.status or 500, headers, json.dumps(body).encode())


def _found(found: tuple[PiiType, int, int]) -> Finding:
    from ._pii_types import RISKS
    from ._values import Finding

    kind, start, end = found
    return Finding(kind, start, end, RISKS[kind])


def _finding(found: tuple[PiiType, int, int], text: str) -> dict[str, Any]:
    """As the server reports it: positions in UTF-16 units."""
    kind, start, end = found

    def units(offset: int) -> int:
        return len(text[:offset].encode("utf-16-le", "surrogatepass")) // 2

    return {"type": kind, "start": units(start), "end": units(end), "risk": _found(found).risk}


def _listen(server: MockServer) -> Any:
    """Answers on a free port of this machine until it is shut down."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = server.request(self.command, self.path.split("?", 1)[0], dict(self.headers.items()), body or None)
            self.send_response(answer.status)
            for name, value in {"content-type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = _answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    listening.daemon_threads = True
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return listening
