"""As a beginner writes it with LangGraph: a chat bot that remembers, as a graph with one node."""

from langchain.chat_models import init_chat_model
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

model = init_chat_model("anthropic:claude-haiku-4-5", max_tokens=200)


def chatbot(state: MessagesState):
    return {"messages": [model.invoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("chatbot", chatbot)
builder.add_edge(START, "chatbot")
graph = builder.compile(checkpointer=InMemorySaver())

thread = {"configurable": {"thread_id": "1"}}
for question in ("Whom do I write to for a guided tour?", "Tell a bedtime story about a lighthouse in one sentence."):
    for event in graph.stream({"messages": [{"role": "user", "content": question}]}, thread):
        for value in event.values():
            print("Assistant:", value["messages"][-1].content)
