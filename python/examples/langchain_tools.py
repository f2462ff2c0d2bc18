"""LangChain's built-in agent with two tools and a callback handler.

Shows: an agent without any changes; one callback handler adds its steps to the event log.
Start: iron-cage start python/examples/langchain_tools.py --budget 1
Needs: langchain langchain-openai; OPENAI_API_KEY
"""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from iron_cage import IronCageCallbackHandler

STOCK = {"bolt": 120, "nut": 80}


def stock(part: str) -> int:
    """How many pieces of a part are in stock."""
    return STOCK[part]


def order(part: str, pieces: int) -> str:
    """Order pieces of a part."""
    print(f"ordered {pieces} × {part}")
    return "ordered"


agent = create_agent(ChatOpenAI(model="gpt-4o-mini", max_tokens=200), tools=[stock, order])
handler = IronCageCallbackHandler()
wish = "We need 200 nuts. Look at the stock and order what is missing."
result = agent.invoke({"messages": [{"role": "user", "content": wish}]}, config={"callbacks": [handler]})

print(result["messages"][-1].text)
print(f"{handler.totals.calls} calls of the model, {handler.totals.tools} of tools")
