"""Who may try a password, and how a forgotten one is replaced."""
