"""Retrieval-augmented answers from a document.

Shows: embeddings and answers both count toward the budget; the retriever is in the event log too.
Start: iron-cage start python/examples/langchain_rag.py --budget 1
Needs: langchain-openai numpy; OPENAI_API_KEY
"""

from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from iron_cage import IronCageChain

HANDBOOK = """\
Holidays: every employee has thirty days of holidays a year. Ask your lead two weeks before.
Laptops: broken laptops are replaced within one day. Bring yours to the service desk.
Travel: travel by train is booked by yourself and paid back within a week."""

# A server of your own may want texts and not tokens: this sends texts.
embeddings = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False)
handbook = InMemoryVectorStore.from_texts(HANDBOOK.splitlines(), embeddings)
retriever = handbook.as_retriever(search_kwargs={"k": 1})


def text_of(documents):
    return "\n".join(document.page_content for document in documents)


answer = IronCageChain(
    llm=ChatOpenAI(model="gpt-4o-mini", max_tokens=60),
    prompt="Answer from this text only: {text}\nQuestion: {question}",
)
chain = {"text": retriever | text_of, "question": RunnablePassthrough()} | answer

for question in ("How many days of holidays do I have?", "Who replaces my broken laptop?"):
    print(f"{question} {chain.invoke(question).text}")
