"""A conversation with memory.

Shows: IronCageChain with a list as its memory, which keeps questions and final answers.
Start: iron-cage start python/examples/langchain_memory.py --budget 1
Needs: langchain-openai; OPENAI_API_KEY
"""

from langchain_openai import ChatOpenAI

from iron_cage import IronCageChain

memory = []
guide = IronCageChain(llm=ChatOpenAI(model="gpt-4o-mini", max_tokens=60), memory=memory)

for question in ("I am going to Lisbon in May. Is it warm there?", "And which city did I name?"):
    print(f"> {question}")
    print(guide.run(question))

print(f"{len(memory)} messages remembered")
