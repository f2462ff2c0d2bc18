"""As a beginner writes it with the openai package: one chat, one response."""

from openai import OpenAI

client = OpenAI()

completion = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[
        {"role": "system", "content": "You are the front desk of a museum."},
        {"role": "user", "content": "Whom do I write to for a guided tour?"},
    ],
)
print(completion.choices[0].message.content)

response = client.responses.create(
    model="gpt-4o-mini",
    input="Tell a bedtime story about a lighthouse in one sentence.",
)
print(response.output_text)
