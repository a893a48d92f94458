"""The demo: six accounts, their orders with real certificates, and refunds that took the same way as everybody's.

Everything is relative to the moment of loading, so that each rule of the policy has its certificate on any day.
"""
