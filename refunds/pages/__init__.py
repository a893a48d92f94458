"""The customer's pages of refunds: the panel, the records, and what they say."""
