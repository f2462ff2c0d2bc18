"""Personal data: detected before it is sent, redacted from replies.

Shows: scan() on your own text, and the redaction of every reply; findings are reported without their value.
Start: iron-cage start python/examples/pattern_pii.py --budget 1
Needs: openai; OPENAI_API_KEY
"""

from openai import OpenAI

import iron_cage

LETTER = "Please call me back: +1 415 733 2671, or write to maria@example.org. Maria"

found = iron_cage.scan(LETTER)
print(f"found: {', '.join(sorted(finding.type for finding in found.findings))}")

wish = f"Answer this letter in one sentence and repeat how to reach the writer: {found.redacted}"
reply = OpenAI().chat.completions.create(
    model="gpt-4o-mini", max_tokens=60, messages=[{"role": "user", "content": wish}]
)
print(reply.choices[0].message.content)
