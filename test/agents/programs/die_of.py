import os
import resource
import sys

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.kill(os.getpid(), int(sys.argv[1]))
