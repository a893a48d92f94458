"""What `payments` tells whoever ordered a payout; the settings name the functions."""

from core.hooks import Hook

# Called with the payout's reference before payment and payout are locked: locks go from the top floor down.
payout_settling = Hook("PAYOUT_SETTLING")
# Called with (payout, at=…) when a payout is taken up, paid or failed.
payout_settled = Hook("PAYOUT_SETTLED")
