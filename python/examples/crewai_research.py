"""A researcher with a search tool over a document collection.

Shows: the tools of a crew and its model calls share one budget; answers come from the documents, not from memory.
Start: iron-cage start python/examples/crewai_research.py --budget 1
Needs: crewai; OPENAI_API_KEY
"""

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

from iron_cage.crewai import IronCageListener

HEIGHTS = {"Brocken": 1141, "Zugspitze": 2962}
listener = IronCageListener()


@tool("look_up")
def look_up(name: str) -> str:
    """The height of a mountain in metres."""
    print(f"looked up {name}")
    return f"{HEIGHTS[name]} m"


researcher = Agent(
    role="Researcher",
    goal="Answer from the collection",
    backstory="You never guess.",
    tools=[look_up],
    llm=LLM(model="gpt-4o-mini", max_tokens=100),
)
question = Task(
    name="height",
    description="Find out with the tool how high is the Brocken.",
    expected_output="One sentence",
    agent=researcher,
)
print(Crew(name="research", agents=[researcher], tasks=[question]).kickoff().raw)
