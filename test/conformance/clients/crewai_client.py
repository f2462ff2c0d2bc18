"""CrewAI: its own model classes on OpenAI's or Anthropic's SDK as the model's name begins, and a whole crew."""

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from lockstep import QUESTION, obey
from lockstep import warmth as measure

measured = []


def chat(model, **options):
    return LLM(model=model, max_tokens=50, **options)


def plain(model):
    return {"text": chat(model).call("Say hello.")}


def streamed(model):
    return {"text": chat(model, stream=True).call("Say hello.")}


@tool("warmth")
def warmth(city: str) -> str:
    """How warm it is."""
    measured.append({"name": "warmth", "arguments": {"city": city}})
    return measure(city)


def tools(model, **options):
    measured.clear()
    text = str(crew(model, [warmth], **options).kickoff())
    # Parallel tools run at once and end in any order.
    return {"calls": sorted(measured, key=lambda call: call["arguments"]["city"]), "text": text}


def streamed_tools(model):
    return tools(model, stream=True)


def kickoff(model):
    return {"text": str(crew(model, []).kickoff())}


def crew(model, tools, **options):
    agent = Agent(role="Guide", goal="Answer", backstory="You know towns.", llm=chat(model, **options), tools=tools)
    return Crew(agents=[agent], tasks=[Task(description=QUESTION, expected_output="Degrees", agent=agent)])


obey([plain, streamed, tools, streamed_tools, kickoff], "crewai")
