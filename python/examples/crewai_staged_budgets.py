"""Work in stages, each with a share of the budget; a stage that does not fit is skipped.

Shows: current_budget() before and after each crew; what each stage cost is an event.
Start: iron-cage start python/examples/crewai_staged_budgets.py --budget 0.02
Needs: crewai; OPENAI_API_KEY
"""

from crewai import LLM, Agent, Crew, Task

import iron_cage

STAGES = [
    ("ideas", 0.5, "gpt-4", "Find three names for a boat, only the names."),
    ("choice", 0.4, "gpt-4", "Choose the best name of these: {before}. Only the name."),
    ("polish", 0.1, "gpt-4", "Write one line for the boat's stern: {before}."),
]
MOST_FOR_A_TASK_USD = 0.006

whole = iron_cage.current_budget().limit_usd
result = ""
for number, (name, share, model, wish) in enumerate(STAGES, start=1):
    allowed = float(whole) * share
    if allowed < MOST_FOR_A_TASK_USD:
        print(f"{name}: left out, ${allowed:.4f} would not be enough")
        continue
    before = iron_cage.current_budget().spent_usd
    sailor = Agent(role="Sailor", goal="Name boats", backstory="Short words.", llm=LLM(model=model, max_tokens=60))
    task = Task(name=name, description=wish.format(before=result), expected_output="The names", agent=sailor)
    result = Crew(name=name, agents=[sailor], tasks=[task]).kickoff().raw
    spent = iron_cage.current_budget().spent_usd - before
    iron_cage.event(f"stage {name} cost ${spent}", spent_usd=spent, allowed_usd=allowed)
    iron_cage.progress(number, len(STAGES), "stages", name)
    print(f"{name}: {result} ({'within' if spent <= allowed else 'over'} its share)")
