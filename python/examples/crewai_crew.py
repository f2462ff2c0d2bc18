"""A crew of two: one plans an article, the other writes it.

Shows: IronCageListener reports tasks as progress and model calls as lines of the event log.
Start: iron-cage start python/examples/crewai_crew.py --budget 1
Needs: crewai; OPENAI_API_KEY
"""

from crewai import LLM, Agent, Crew, Task

from iron_cage.crewai import IronCageListener

listener = IronCageListener()
model = LLM(model="gpt-4o-mini", max_tokens=100)

planner = Agent(role="Planner", goal="Plan articles", backstory="You think in outlines.", llm=model)
writer = Agent(role="Writer", goal="Write articles", backstory="You are brief.", llm=model)
plan = Task(
    name="plan",
    description="Make an outline of an article about bees, three points.",
    expected_output="Three points in one line",
    agent=planner,
)
write = Task(
    name="write",
    description="Write the article from the outline, one sentence.",
    expected_output="One sentence",
    agent=writer,
    context=[plan],
)

article = Crew(name="article", agents=[planner, writer], tasks=[plan, write]).kickoff()
for task in article.tasks_output:
    print(f"{task.name}: {task.raw}")
