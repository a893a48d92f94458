"""The refund rules as tables that prove themselves, and their one explanation.

The pages still ask `refunds.policy`, which knows `intl-2021` alone; tests hold that both give the same answers until
the pages ask these tables too.
"""
