"""An invoice parsed into a typed object.

Shows: structured output through the gateway; the chain returns the object.
Start: iron-cage start python/examples/langchain_structured.py --budget 1
Needs: langchain-openai; OPENAI_API_KEY
"""

from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

from iron_cage import IronCageChain


class Invoice(BaseModel):
    """The content of an invoice."""

    number: str
    total: float = Field(description="in euros")
    items: list[str]


model = ChatOpenAI(model="gpt-4o-mini", max_tokens=200).with_structured_output(Invoice)
read = IronCageChain(llm=model, prompt="Read this invoice:\n{text}")

invoice = read.invoke({"text": "Invoice A-17: two chairs, one table. Sum 340.50 EUR."})
print(f"{invoice.number}: {', '.join(invoice.items)} = {invoice.total:.2f} EUR")
