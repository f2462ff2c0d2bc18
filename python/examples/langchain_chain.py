"""A prompt, a model and a parser in one chain, run on three inputs in a batch.

Shows: IronCageChain is a runnable like any other (`|`, batch); its calls are logged and its tokens counted.
Start: iron-cage start python/examples/langchain_chain.py --budget 1
Needs: langchain-openai; OPENAI_API_KEY
"""

from langchain_core.output_parsers import CommaSeparatedListOutputParser
from langchain_openai import ChatOpenAI

from iron_cage import IronCageChain

model = ChatOpenAI(model="gpt-4o-mini", max_tokens=60)
ask = IronCageChain(llm=model, prompt="Name three {things}, separated by commas, nothing else.")
chain = ask | CommaSeparatedListOutputParser()

questions = [{"things": "primary colours"}, {"things": "noble gases"}, {"things": "Baltic capitals"}]
for question, answer in zip(questions, chain.batch(questions)):
    print(f"{question['things']}: {' + '.join(answer)}")

print(f"{ask.totals.calls} calls, {ask.totals.errors} errors")
