"""``iron-cli-py``: tokens, budgets and usage of an Iron Cage server. Writes the same files and has the same exit codes as
``iron-cage``."""

__version__ = "0.3.0"
