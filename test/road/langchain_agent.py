"""An agent as anybody writes one: nothing in it knows of a cage."""

from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="gpt-4o-mini", max_tokens=50)
print("whole:", model.invoke("Whom do I ask?").content)
print("streamed:", "".join(chunk.content for chunk in model.stream("Whom do I ask?")))
