"""As a beginner writes it with LangChain: an agent with one tool."""

from langchain.agents import create_agent


def opening_hours(day: str) -> str:
    """When the museum is open on a day."""
    return f"On {day} from ten to six."


agent = create_agent(
    model="openai:gpt-4o-mini",
    tools=[opening_hours],
    system_prompt="You are the front desk of a museum.",
)
for question in ("Whom do I write to for a guided tour?", "When are you open on Friday?"):
    result = agent.invoke({"messages": [{"role": "user", "content": question}]})
    print(result["messages"][-1].content)
