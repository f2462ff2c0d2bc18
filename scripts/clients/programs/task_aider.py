"""aider is a command."""
