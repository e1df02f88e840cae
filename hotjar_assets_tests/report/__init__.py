"""The report: its numbers, its page, and the command that writes it."""
