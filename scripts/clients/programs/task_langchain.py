"""LangChain: a tool, then the answer, streamed."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def warmth(city: str) -> str:
    """How warm it is in a city."""
    return f"4 degrees in {city}"


model = ChatOpenAI(model="gpt-4o-mini", stream_usage=True).bind_tools([warmth])
asked = [HumanMessage("How warm is it in Oslo?")]
said = None
for piece in model.stream(asked):
    said = piece if said is None else said + piece
results = [ToolMessage(warmth.invoke(call["args"]), tool_call_id=call["id"]) for call in said.tool_calls]
for piece in model.stream([*asked, said, *results]):
    print(piece.text, end="")
print()
