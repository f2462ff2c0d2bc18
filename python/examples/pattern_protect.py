"""Parts of one agent, each with its own limit within the agent's budget.

Shows: @protect_agent on a function. A part whose budget is exhausted is refused, and the rest continues. Without
`iron-cage start`, as plain `python3 pattern_protect.py`, the functions start a server by themselves.
Start: iron-cage start python/examples/pattern_protect.py --budget 1
Needs: openai; OPENAI_API_KEY
"""

from openai import OpenAI

from iron_cage import AgentRuntime, BudgetExceeded, protect_agent


def ask(model: str, text: str) -> str:
    reply = OpenAI().chat.completions.create(model=model, max_tokens=80, messages=[{"role": "user", "content": text}])
    return reply.choices[0].message.content


@protect_agent(budget="0.02")
def brainstorm(ideas: list) -> None:
    while len(ideas) < 50:
        ideas.append(ask("gpt-4", f"Idea {len(ideas) + 1} for a birthday party, one line."))


@protect_agent(budget="0.01")
def choose(ideas: list) -> str:
    return ask("gpt-4o-mini", f"Which of these {len(ideas)} ideas is best? {'; '.join(ideas)}")


with AgentRuntime(budget=1) as runtime:
    ideas = []
    try:
        brainstorm(ideas)
    except BudgetExceeded as refusal:
        print(f"{len(ideas)} ideas for ${refusal.limit_usd}, then the limit of the part was reached")
    print(f"best: {choose(ideas)}")
    print(f"the whole is {'within' if runtime.budget.spent <= runtime.budget.limit else 'over'} its budget")
