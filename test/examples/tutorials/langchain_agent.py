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
question = "When are you open on Friday, and whom do I write to then?"
result = agent.invoke({"messages": [{"role": "user", "content": question}]})
print(result["messages"][-1].content)
