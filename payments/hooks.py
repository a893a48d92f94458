"""What `payments` tells whoever ordered a payout, and asks about its payments; the settings name the functions."""

from core.hooks import Hook

# Called with the payout's reference before payment and payout are locked: locks go from the top floor down.
payout_settling = Hook("PAYOUT_SETTLING")
# Called with (payout, at=…) when a payout is taken up, paid or failed, and when it came back or was ordered anew.
payout_settled = Hook("PAYOUT_SETTLED")
# Called with (reference, reason=…, by=…, at=…) when a person says that the money cannot go back: closes what stands
# behind it, through `payments.services.give_up`, or raises.
payout_impossible = Hook("PAYOUT_IMPOSSIBLE")
# Called with (payment_id, at=…) when a refund that the channel made by itself was found, or a person has decided on it.
refund_found = Hook("REFUND_FOUND")
# Called with a Difference: the `payments.services.Candidate`s that a person may choose from.
refund_candidates = Hook("REFUND_CANDIDATES")
# Called with (difference, candidate's id, by=…, at=…): make the channel's refund the payout of that request.
refund_confirmed = Hook("REFUND_CONFIRMED")
