"""The same question to two providers, with a fallback to the second provider's model.

Shows: one budget for all providers; fallbacks between them with LangChain's own means.
Start: iron-cage start python/examples/multi_provider.py --budget 1
Needs: langchain-openai langchain-anthropic; OPENAI_API_KEY ANTHROPIC_API_KEY
"""

from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from iron_cage import IronCageChain

openai = IronCageChain(llm=ChatOpenAI(model="gpt-4o-mini", max_tokens=60))
anthropic = IronCageChain(llm=ChatAnthropic(model="claude-haiku-4-5", max_tokens=60))

for name, chain in (("OpenAI", openai), ("Anthropic", anthropic)):
    print(f"{name}: {chain.run('Say in five words why the sky is blue.')}")

# A model without a price is refused by the cage before anything is sent.
unknown = IronCageChain(llm=ChatOpenAI(model="no-such-model", max_tokens=60))
careful = unknown.with_fallbacks([anthropic])
print(f"instead: {careful.invoke('Say in five words why the sea is blue.').text}")
