"""An agent that crashes halfway and resumes from its checkpoint.

Shows: checkpoint() and restore(); a crashed agent is restarted, and nothing is paid for twice.
Start: iron-cage start python/examples/pattern_checkpoint.py --budget 1
Needs: nothing; OPENAI_API_KEY
"""

import os

import iron_cage

PAGES = ["one", "two", "three", "four", "five"]

summaries = iron_cage.restore(default=[])
is_first_life = not summaries
print("beginning" if is_first_life else f"going on after page {len(summaries)}")

client = iron_cage.ChatClient()
while len(summaries) < len(PAGES):
    page = PAGES[len(summaries)]
    question = {"role": "user", "content": f"Sum up page {page} in one word."}
    summaries.append(client.complete("gpt-4o-mini", [question], max_tokens=10).text)
    iron_cage.checkpoint(summaries)
    iron_cage.progress(len(summaries), len(PAGES), "pages")
    print(f"page {page}: {summaries[-1]}")
    if page == "three" and is_first_life:
        print("crash!")
        os._exit(1)

print(f"{len(summaries)} pages")
