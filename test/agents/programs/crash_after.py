import sys
import time

print("ready")
time.sleep(float(sys.argv[1]))
sys.exit(1)
