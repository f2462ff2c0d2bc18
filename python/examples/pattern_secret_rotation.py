"""An API key that is rotated while the agent runs.

Shows: a secret is a variable of the agent's environment; code that reads it at each use gets the new value at once,
without a restart.
  Before:            iron-cage keygen --out master.key; export IRON_CAGE_MASTER_KEY_FILE=$PWD/master.key
                     iron-cage secrets set CRM_KEY
  While it waits:    iron-cage secrets rotate CRM_KEY        (in another terminal)
Start: iron-cage start python/examples/pattern_secret_rotation.py --budget 1
Needs: nothing; OPENAI_API_KEY
"""

import os
import sys
import time

import iron_cage

WAIT_S = 120


def look_up(customer: str) -> str:
    """The CRM's answer to a caller with a key."""
    assert os.environ["CRM_KEY"]  # looked up here and now, not kept from the beginning
    return f"{customer} bought a boat"


client = iron_cage.ChatClient()


def thank(customer: str) -> str:
    question = {"role": "user", "content": f"Thank a customer in five words: {look_up(customer)}"}
    return client.complete("gpt-4o-mini", [question], max_tokens=20).text


first_key = os.environ["CRM_KEY"]
print(f"with the first key: {thank('Ada')}")

print("waiting for another key")
give_up_at = time.monotonic() + WAIT_S
while os.environ["CRM_KEY"] == first_key:
    if time.monotonic() > give_up_at:
        sys.exit("nobody rotated CRM_KEY")
    time.sleep(0.05)

print(f"with the new key: {thank('Grace')}")
