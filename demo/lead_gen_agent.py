"""The demo's agent: it reads 100 companies out of leads.csv and judges which of them are worth a salesperson's call.

An ordinary agent. It knows nothing of a simulated world, and nothing in it is there to make the show work:

- Written with LangChain (``ChatOpenAI`` and two tools) when that is installed, with the SDK's own client otherwise. The
  calls are the same.
- One model call reads a company whose LinkedIn profile is live. A profile out of the cache may be old, so three longer
  readings also go through our own archive.
- When the budget warning has come, it goes on with a cheaper model.
- It saves its state after every paid step, so a crash repeats at most the one step that was running.

    lead_gen_agent.py [leads.csv]

DEMO_PACE_MS: the least time a lead takes, in milliseconds. (Default: 0, as fast as possible.)
"""

from __future__ import annotations

import csv
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any, Callable, NamedTuple

import iron_cage

MODEL = "gpt-4"
CHEAPER_MODEL = "gpt-3.5-turbo"
REQUIRED_FIELDS = ("fit_score", "decision_maker", "next_step")


class Reading(NamedTuple):
    """How much the model reads and may write in one call."""

    prompt_characters: int
    max_tokens: int


# About 3,000 and 6,000 tokens of gpt-4.
SHORT = Reading(prompt_characters=13_650, max_tokens=512)
LONG = Reading(prompt_characters=28_000, max_tokens=1_024)


def main() -> None:
    leads = read_leads(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("leads.csv"))
    pace_s = int(os.environ.get("DEMO_PACE_MS") or 0) / 1000
    tools = langchain_tools() or plain_tools()
    work = Work()
    report_progress(work, leads)
    for lead in leads[work.done :]:
        started = time.monotonic()
        line = process(lead, tools, work, started)
        report_progress(work, leads)
        print(line, flush=True)
        time.sleep(max(0.0, pace_s - (time.monotonic() - started)))
    print(f"{work.done} leads done", flush=True)


def process(lead: Lead, tools: Tools, work: Work, started: float) -> str:
    """Judges one lead and returns the outcome, in one line for people."""
    model = work.once("model", lambda: CHEAPER_MODEL if iron_cage.current_budget().warned else MODEL)
    linkedin = work.once("linkedin", lambda: tools.search_linkedin(lead.domain))
    clearbit = work.once("clearbit", lambda: tools.enrich_clearbit(lead.domain))
    reading, readings = (SHORT, 1) if linkedin["live"] else (LONG, 3)
    findings: list[str] = []
    for number in range(1, readings + 1):
        messages = write_prompt(lead, linkedin["profile"], clearbit, findings, number, readings, reading)
        findings.append(
            work.once(f"reading {number}", lambda prompt=messages: tools.ask(model, prompt, reading.max_tokens))
        )

    answer = parse_answer(findings[-1])
    missing = [field for field in REQUIRED_FIELDS if field not in answer]
    iron_cage.outcome(
        "failed" if missing else "succeeded",
        degraded=not linkedin["live"],
        label=lead.label,
        unit="lead",
        latency_ms=(time.monotonic() - started) * 1000,
        reason=f"the answer lacks {', '.join(missing)}" if missing else None,
    )
    work.finish_lead()
    judged = f"lacks {', '.join(missing)}" if missing else f"fit {answer['fit_score']}"
    return f"{lead.label}: {judged} ({'live' if linkedin['live'] else 'cached'} profile, {model})"


def report_progress(work: Work, leads: list[Lead]) -> None:
    at = leads[work.done].label if work.done < len(leads) else None
    iron_cage.progress(work.done, len(leads), "leads", label=at)


class Work:
    """The content of the checkpoint: how many leads are done, and the paid steps of the one at hand."""

    def __init__(self) -> None:
        kept = iron_cage.restore({"done": 0, "steps": {}})
        self.done: int = kept["done"]
        self._steps: dict[str, Any] = kept["steps"]

    def once(self, step: str, act: Callable[[], Any]) -> Any:
        """Returns the result of ``act``, or its result from before a crash. A crash while it runs is the only way to pay twice."""
        if step not in self._steps:
            self._steps[step] = act()
            self._keep()
        return self._steps[step]

    def finish_lead(self) -> None:
        self.done += 1
        self._steps = {}
        self._keep()

    def _keep(self) -> None:
        iron_cage.checkpoint({"done": self.done, "steps": self._steps})


# --- tools -----------------------------------------------------------------------------------------------------------


class Tools(NamedTuple):
    search_linkedin: Callable[[str], dict[str, Any]]
    enrich_clearbit: Callable[[str], dict[str, Any]]
    ask: Callable[[str, list[dict[str, str]], int], str]


def search_linkedin(domain: str) -> dict[str, Any]:
    """Looks a company up on LinkedIn by its domain: its profile, and whether that is live or an older copy."""
    profile, live = fetch("linkedin_api", f"/v2/companies?domain={urllib.parse.quote(domain)}")
    return {"profile": profile, "live": live}


def enrich_clearbit(domain: str) -> dict[str, Any]:
    """Looks up a company's figures (size, revenue, technology) at Clearbit by its domain."""
    figures, _ = fetch("clearbit_api", f"/v1/companies/find?domain={urllib.parse.quote(domain)}")
    return figures


def fetch(service: str, path: str) -> tuple[dict[str, Any], bool]:
    """The service's answer, and whether it came from the service itself rather than from a cache. Nothing when it
    cannot be had."""
    try:
        with urllib.request.urlopen(iron_cage.service_url(service) + path, timeout=60) as response:
            return json.load(response), response.headers.get("x-iron-cage-tier", "1") == "1"
    except urllib.error.HTTPError:
        return {}, False


def plain_tools() -> Tools:
    client = iron_cage.ChatClient()

    def ask(model: str, messages: list[dict[str, str]], max_tokens: int) -> str:
        return client.complete(model, messages, max_tokens=max_tokens, temperature=0).text

    return Tools(search_linkedin, enrich_clearbit, ask)


def langchain_tools() -> Tools | None:
    """None when LangChain is not installed."""
    try:
        from langchain_core.tools import tool
        from langchain_openai import ChatOpenAI
    except ImportError:
        return None
    linkedin, clearbit = tool(search_linkedin), tool(enrich_clearbit)

    @cache
    def chat(model: str, max_tokens: int) -> ChatOpenAI:
        return ChatOpenAI(model=model, max_tokens=max_tokens, temperature=0)

    return Tools(
        search_linkedin=lambda domain: linkedin.invoke({"domain": domain}),
        enrich_clearbit=lambda domain: clearbit.invoke({"domain": domain}),
        ask=lambda model, messages, max_tokens: str(chat(model, max_tokens).invoke(messages).content),
    )


# --- leads and answers -----------------------------------------------------------------------------------------------


class Lead(NamedTuple):
    id: int
    company: str
    domain: str
    industry: str
    employees: int

    @property
    def label(self) -> str:
        return f"lead {self.id}: {self.company}"


def read_leads(path: Path) -> list[Lead]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Lead(int(row["lead_id"]), row["company_name"], row["domain"], row["industry"], int(row["employee_count"]))
            for row in csv.DictReader(file)
        ]


def parse_answer(text: str) -> dict[str, Any]:
    """The model's last answer; empty when it is not the JSON object that it was asked for."""
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


# --- the prompt ------------------------------------------------------------------------------------------------------


def write_prompt(
    lead: Lead,
    profile: dict[str, Any],
    figures: dict[str, Any],
    findings: list[str],
    number: int,
    readings: int,
    reading: Reading,
) -> list[dict[str, str]]:
    """Everything known about the company, filled up with our archive to the size of the reading."""
    known = "\n\n".join(
        [
            f"Company: {lead.company}\nDomain: {lead.domain}\nIndustry: {lead.industry}\nEmployees: {lead.employees}",
            "LinkedIn profile:\n" + json.dumps(profile, ensure_ascii=False),
            "Clearbit figures:\n" + json.dumps(figures, ensure_ascii=False),
            *(f"Findings of reading {index}:\n{text}" for index, text in enumerate(findings, start=1)),
            "Our archive, newest first:\n",
        ]
    )
    task = f"\n\nReading {number} of {readings}. {TASK_LAST if number == readings else TASK_BEFORE}"
    room = reading.prompt_characters - len(GUIDE) - len(known) - len(task)
    return [
        {"role": "system", "content": GUIDE},
        {"role": "user", "content": known + archive(lead, number, max(0, room)) + task},
    ]


GUIDE = """You are a research analyst in the sales team of a company that sells software for planning field work: routes, \
crews, spare parts and service appointments. You read the known facts about one company and judge whether a \

How to judge. A company fits when people of its own drive to customers, sites or shops, when it has at least forty of \
them, and when the planning is done today in spreadsheets or in a system that it has outgrown. Growth in several \
regions at once is a strong sign, because planning breaks first where two regions meet. A new head of operations is a \
strong sign, because the first hundred days are when tools are changed. A merger is a weak sign: the buyer's tools \
usually win. A hiring freeze is a sign against, and so is a contract with a competitor that was renewed within the \
last year.

How to weigh sources. A live LinkedIn profile is worth more than an older copy of it. Figures from Clearbit are \
estimates; use them for orders of magnitude only. Our own archive is reliable about the wording and unreliable about \
the intention: people promise budgets that they do not have. When two sources disagree, note it, and prefer the newer \
one. Never invent a name, a number or a date. When something is not known, write that it is not known.

How to write. Plain sentences, no superlatives, no marketing words. Facts first, judgement after. Leave out personal \
data: no addresses, no telephone numbers, nothing about a person's private life. A reader should be able to see from \
each sentence where it comes from.

The score. Fit is a whole number from 0 to 100. Above 70 a salesperson calls within the week. Between 40 and 70 the \
company goes into the quarterly letter. Below 40 it is left alone for a year. A score above 90 needs three strong signs \
from at least two sources, and it is given to about one company in fifty."""

TASK_BEFORE = "Write down what matters for the judgement, as notes for the next reading. Do not judge yet."
TASK_LAST = (
    "Judge the company now. Answer with one JSON object and nothing else, with the fields summary (text), fit_score "
    "(0 to 100), decision_maker (a role, not a name) and next_step (text)."
)

ARCHIVE_SENTENCES = (
    "{company} asked for a short demonstration of crew planning and sent two people from {place} who took many notes.",
    "A regional lead told us that appointments in {place} are still moved by telephone on the morning of the day itself.",
    "Their {team} team said that the old planning sheet takes most of a working day to bring up to date each week.",
    "The {industry} business of {company} opened another site near {place}, and the travel time of crews went up.",
    "We met the {team} lead at a fair; the talk was friendly, but no date was agreed and nobody wrote afterwards.",
    "Spare parts were the main topic: technicians leave {place} without the right part about one time in six.",
    "A pilot with a competitor ended without a contract, mostly because the import of their customer list never worked.",
    "The {team} team is looking for two planners, which suggests that the work grows faster than the tools allow.",
    "{company} published its plans for the coming year, and planning software was named once, in a list of ten topics.",
    "Somebody from {place} read our guide to service windows twice and came back a week later for the price list.",
    "Their head of operations changed; the new one came from a company that had used our product for three years.",
    "An internal survey, which a partner showed us, put planning third among the reasons why people leave {company}.",
    "The contract for their present system runs until the end of next year and can be ended with three months' notice.",
    "In {place} the crews drive on average a third longer than in the other regions, and nobody could tell us why.",
    "Purchasing asked for references from other companies in {industry} and was satisfied with the two that we named.",
    "A question about single sign-on was answered by our engineers within a day, and the {team} team was glad of it.",
    "They said that a decision needs the agreement of the works council, which meets four times a year in {place}.",
    "The budget for tools was cut in half and then given back, so that the project starts two quarters later than planned.",
)
PLACES = ("Leeds", "Ghent", "Porto", "Malmo", "Turin", "Graz", "Cork", "Lyon", "Utrecht", "Bilbao", "Aarhus", "Brno")
TEAMS = ("operations", "dispatch", "field service", "logistics", "finance", "customer care")
SEASONS = ("Winter", "Autumn", "Summer", "Spring")


def archive(lead: Lead, number: int, characters: int) -> str:
    """Our own notes about a company, one paragraph a season, cut to size. The same text every time."""
    pick = random.Random(f"{lead.domain} {number}")
    text = ""
    season = 0
    while len(text) < characters:
        sentences = (
            sentence.format(
                company=lead.company,
                industry=lead.industry.lower(),
                place=pick.choice(PLACES),
                team=pick.choice(TEAMS),
            )
            for sentence in pick.sample(ARCHIVE_SENTENCES, 6)
        )
        text += f"{SEASONS[season % 4]} {2026 - season // 4}. {' '.join(sentences)}\n"
        season += 1
    return text[:characters]


if __name__ == "__main__":
    main()
