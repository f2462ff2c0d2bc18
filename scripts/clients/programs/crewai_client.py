"""CrewAI: its model, and a crew with a tool."""

from cells import run, warmth
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool


def tools(prompt, model):
    llm = LLM(model=f"openai/{model}", max_tokens=50)
    agent = Agent(role="Guide", goal="Answer", backstory="You know towns.", llm=llm, tools=[tool("warmth")(warmth)])
    return str(Crew(agents=[agent], tasks=[Task(description=prompt, expected_output="Degrees", agent=agent)]).kickoff())


run("crewai", ask=lambda prompt, model: LLM(model=f"openai/{model}", max_tokens=50).call(prompt), tools=tools)
