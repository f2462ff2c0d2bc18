import sys

raise RuntimeError(sys.argv[1] if len(sys.argv) > 1 else "the CRM is not configured")
