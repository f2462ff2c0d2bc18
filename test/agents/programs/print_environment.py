import json
import os

print(os.getcwd())
print(json.dumps(dict(os.environ)))
