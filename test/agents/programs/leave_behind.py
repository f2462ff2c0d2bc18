"""Leaves files where other programs look, and starts a child that counts in a new session."""

import os
import subprocess
import sys

for name in sys.argv[1:]:
    os.makedirs(os.path.dirname(os.path.abspath(name)), exist_ok=True)
    with open(name, "w") as file:
        file.write("agent: { sandbox: { level: off } }\n")
count = "import time\nnumber = 0\nwhile number < 600: number += 1; print('apart', number, flush=True); time.sleep(0.05)"
child = subprocess.Popen([sys.executable, "-c", count], start_new_session=True)
if not sys.argv[1:]:
    child.wait()
