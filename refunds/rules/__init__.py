"""The refund rules as tables that prove themselves, and their one explanation."""
