"""LangChain: ChatOpenAI."""

from cells import run, warmth
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI


def chat(model):
    return ChatOpenAI(model=model, max_completion_tokens=50)


def tools(prompt, model):
    bound = chat(model).bind_tools([warmth])
    talk = [HumanMessage(prompt)]
    first = bound.invoke(talk)
    results = [ToolMessage(warmth(**call["args"]), tool_call_id=call["id"]) for call in first.tool_calls]
    return bound.invoke([*talk, first, *results]).text


run(
    "langchain-openai",
    ask=lambda prompt, model: chat(model).invoke(prompt).text,
    stream=lambda prompt, model: (chunk.text for chunk in chat(model).stream(prompt)),
    tools=tools,
)
