"""An agent that works on a goal by itself until it declares it done.

Shows: thought, command, result in a loop; every step is a unit of work on the dashboard.
Start: iron-cage start python/examples/autogpt_goal.py --budget 1
Needs: openai; OPENAI_API_KEY
"""

import json

from openai import OpenAI

import iron_cage

GOAL = "Find out which of our shops sold most, and write it into report.txt."
SALES = {"North": 120, "South": 340, "West": 95}
RULES = f"""You work on a goal on your own. Goal: {GOAL}
Answer with JSON only: {{"thought": "…", "command": "list_shops" | "read_sales" | "write_report" | "finish", "argument": "…"}}"""

files = {}
COMMANDS = {
    "list_shops": lambda _: ", ".join(SALES),
    "read_sales": lambda shop: str(SALES.get(shop, "no such shop")),
    "write_report": lambda text: files.update({"report.txt": text}) or "written",
}

client = OpenAI()
history = [{"role": "system", "content": RULES}, {"role": "user", "content": "Step 1: begin."}]
for step in range(1, 11):
    reply = client.chat.completions.create(
        model="gpt-4o-mini", max_tokens=150, messages=history, response_format={"type": "json_object"}
    )
    text = reply.choices[0].message.content
    decision = json.loads(text)
    print(f"{step}. {decision['thought']} → {decision['command']}({decision['argument']})")
    iron_cage.outcome("succeeded", label=decision["command"], unit="step")
    if decision["command"] == "finish":
        break
    result = COMMANDS[decision["command"]](decision["argument"])
    history += [
        {"role": "assistant", "content": text},
        {"role": "user", "content": f"Step {step + 1}: the result was: {result}"},
    ]

print(f"report: {files.get('report.txt')}")
