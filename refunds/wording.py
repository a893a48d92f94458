"""The sentences behind the codes: what a person reads of a rule, a warning, a state or an act."""

from django.utils.translation import gettext_lazy as _

from refunds.policy import Rule, Warning

# Why a certificate shows what it shows; the first sentence says it, the second what can be done.
RULES = {
    Rule.UPLOADED: _("This certificate was bought elsewhere, so nothing was paid for it here."),
    Rule.FREE_DV: _("Free DV certificates cost nothing, so there is nothing to give back."),
    Rule.NOTHING_PAID: _("The certificate was paid with a voucher alone, and a voucher's part never comes back."),
    Rule.EXPIRED: _("The certificate has expired. A refund can be requested only before that."),
    Rule.ISSUED_REVOKED: _("Issued and revoked within 28 days: everything you paid comes back after a review."),
    Rule.REVOKED_TOO_LATE: _("The revocation was completed more than 28 days after the certificate was issued."),
    Rule.ISSUED_TOO_LONG: _("The certificate was issued more than 28 days ago."),
    Rule.REVOCATION_PENDING: _("The revocation has been requested. Once it is completed in time, you can request a refund."),
    Rule.REVOKE_FIRST: _("The certificate is issued. Revoke it first; then you can request a refund."),
    Rule.VALIDATED_UNISSUED: _(
        "The certificate authority has approved the application and is about to issue the certificate. "
        "A refund can be requested again once it is issued and revoked."
    ),
    Rule.UNISSUED_IMMEDIATE: _("Bought 5 days ago or less and not issued: everything you paid comes back at once."),
    Rule.UNISSUED_MANUAL: _("Not issued: everything you paid comes back after a review."),
    Rule.UNISSUED_TOO_LATE: _("Less than 15 days are left before the service period ends."),
}

# The rule in a few words, for lists.
RULE_NAMES = {
    Rule.UPLOADED: _("Uploaded"),
    Rule.FREE_DV: _("Free DV"),
    Rule.NOTHING_PAID: _("Nothing paid"),
    Rule.EXPIRED: _("Expired"),
    Rule.ISSUED_REVOKED: _("Revoked in time"),
    Rule.REVOKED_TOO_LATE: _("Revoked too late"),
    Rule.ISSUED_TOO_LONG: _("Issued too long ago"),
    Rule.REVOCATION_PENDING: _("Revocation under way"),
    Rule.REVOKE_FIRST: _("Revoke first"),
    Rule.VALIDATED_UNISSUED: _("Approved, not issued yet"),
    Rule.UNISSUED_IMMEDIATE: _("Not issued, at once"),
    Rule.UNISSUED_MANUAL: _("Not issued, with review"),
    Rule.UNISSUED_TOO_LATE: _("Too close to the end"),
}

WARNINGS = {
    Warning.MAY_NOT_FINISH_BEFORE_EXPIRY: _(
        "The review may take until after the certificate expires. If it expires before we decide, the request fails."
    ),
    Warning.REVOCATION_MAY_FINISH_LATE: _(
        "A certificate authority needs up to 5 business days to revoke. The revocation may be completed too late for a refund."
    ),
}

# What a customer reads in the history of a request, by the act in the audit trail.
ACTS = {
    "requested": _("You requested the refund"),
    "approved": _("Approved"),
    "money_ordered": _("The money was ordered back"),
    "paying": _("Payment under way"),
    "payment_failed": _("A payment failed and is being retried"),
    "refunded": _("Refunded"),
    "rejected": _("Rejected"),
    "cancelled": _("You cancelled the request"),
    "lapsed": _("Lapsed"),
    "failed": _("The refund failed; you can use the certificate"),
}
