import os
import time

print(os.getpid())
print("ready")
while True:
    time.sleep(60)
