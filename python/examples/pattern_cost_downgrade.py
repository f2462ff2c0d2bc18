"""A good model until the budget warning, a cheaper one after it.

Shows: current_budget().warned becomes true at 90 % (budget.warn_at); the work finishes within the limit.
Start: iron-cage start python/examples/pattern_cost_downgrade.py --budget 0.05
Needs: nothing; OPENAI_API_KEY
"""

import iron_cage

TOWNS = ["Riga", "Oslo", "Bern", "Rome", "Bonn", "Nice", "Cork", "Graz", "Lyon", "Turin"]

client = iron_cage.ChatClient()
used = {}
for done, town in enumerate(TOWNS, start=1):
    model = "gpt-4o-mini" if iron_cage.current_budget().warned else "gpt-4"
    question = {"role": "user", "content": f"Describe the town {town} in a short paragraph."}
    client.complete(model, [question], max_tokens=120)
    used[model] = used.get(model, 0) + 1
    iron_cage.outcome("succeeded", label=town, unit="town")
    iron_cage.progress(done, len(TOWNS), "towns")

print(f"{len(TOWNS)} towns described")
print("the cheap model helped" if "gpt-4o-mini" in used else "the good model was enough")
budget = iron_cage.current_budget()
print("within the limit" if budget.spent_usd <= budget.limit_usd else "over the limit")
