"""Every change of certificates. Nobody else writes them; the import stores new ones in bulk."""

from certificates.services.answers import may_record_answer, record_closed, record_issued, record_revoked
from certificates.services.authority_job import advance_enrollment
from certificates.services.found_refunds import refund_found
from certificates.services.holding import hold, refund, release, undo_refund
from certificates.services.locking import lock, lock_for_owner
from certificates.services.verifying import look_for_proof

__all__ = [
    "advance_enrollment",
    "hold",
    "lock",
    "lock_for_owner",
    "look_for_proof",
    "may_record_answer",
    "record_closed",
    "record_issued",
    "record_revoked",
    "refund",
    "refund_found",
    "release",
    "undo_refund",
]
