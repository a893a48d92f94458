# ruff: noqa: S608 - the queries are put together from constants
"""What must hold of money, requests and certificates whatever anybody does: a sentence and the rows that break it.

Plain SQL, so that no model, manager or service stands between the question and the answer.
"""

from django.db import connection

from certificates.states import CAN_END, CertificateState
from payments.states import GONE, UNDER_WAY, PayoutState
from refunds.states import LIVE, OPEN, RequestState


def _in(states: object) -> str:
    return "(" + ", ".join(sorted(f"'{state!s}'" for state in states)) + ")"  # type: ignore[attr-defined]


# After these nothing of a request's money may be on its way or gone.
WITHOUT_MONEY = set(RequestState) - {"approved", "paying", "payment_failed", "refunded"}

INVARIANTS = {
    "a request, a payout or a certificate is in a state that nobody knows": f"""
        SELECT 'request', id FROM refunds_refundrequest WHERE state NOT IN {_in(RequestState)}
        UNION ALL SELECT 'payout', id FROM payments_payout WHERE state NOT IN {_in(PayoutState)}
        UNION ALL SELECT 'certificate', id FROM certificates_certificate WHERE state NOT IN {_in(CertificateState)}
    """,
    "a certificate has two live requests": f"""
        SELECT certificate_id FROM refunds_refundrequest WHERE state IN {_in(LIVE)}
        GROUP BY certificate_id HAVING COUNT(*) > 1
    """,
    "a certificate is held without an open request of its own, or not held with one": f"""
        SELECT c.instance_id, c.hold, r.reference FROM certificates_certificate c
        LEFT JOIN refunds_refundrequest r ON r.certificate_id = c.id AND r.state IN {_in(OPEN)}
        WHERE COALESCE(r.reference, '') <> c.hold
    """,
    "a share is paid back twice, in part, or by a payment that paid nothing for it": f"""
        SELECT r.certificate_id, p.payment_id, SUM(p.amount), s.amount FROM payments_payout p
        JOIN refunds_refundrequest r ON r.reference = p.reference
        LEFT JOIN certificates_share s ON s.certificate_id = r.certificate_id AND s.payment_id = p.payment_id
        WHERE p.state IN {_in(GONE)}
        GROUP BY r.certificate_id, p.payment_id, s.amount
        HAVING COUNT(*) > 1 OR SUM(p.amount) <> COALESCE(s.amount, 0)
    """,
    "a payout was ordered for no request, without an approval, or in another's name": """
        SELECT p.id, r.reference, d.id FROM payments_payout p
        LEFT JOIN refunds_refundrequest r ON r.reference = p.reference
        LEFT JOIN refunds_decision d
          ON d.request_id = r.id AND d.verdict IN ('approve', 'confirm') AND d.effective_at <= p.ordered_at
        WHERE d.id IS NULL
          OR (d.verdict = 'approve' AND COALESCE(d.by_id, 0) <> COALESCE(p.approved_by_id, 0))
          OR (d.verdict = 'confirm'
              AND COALESCE(CASE WHEN p.follows_id IS NULL THEN p.recorded_by_id ELSE p.approved_by_id END, -1)
                <> COALESCE(d.by_id, 0))
    """,
    "a request was both approved and confirmed": """
        SELECT request_id FROM refunds_decision WHERE verdict IN ('approve', 'confirm')
        GROUP BY request_id HAVING COUNT(*) > 1
    """,
    "what came back was made good twice, by another part, or before it came back": """
        SELECT p.id, b.id FROM payments_payout p JOIN payments_payout b ON b.id = p.follows_id
        WHERE b.state <> 'returned' OR p.reference <> b.reference OR p.payment_id <> b.payment_id
          OR p.amount <> b.amount OR p.currency <> b.currency OR p.ordered_at < b.returned_at OR p.key = b.key
        UNION ALL SELECT MIN(id), MAX(id) FROM payments_payout WHERE follows_id IS NOT NULL
        GROUP BY follows_id HAVING COUNT(*) > 1
        UNION ALL SELECT p.id, b.id FROM payments_payout p JOIN payments_payout b
          ON b.reference = p.reference AND b.payment_id = p.payment_id AND b.id < p.id
        WHERE p.follows_id IS NULL
    """,
    "money came back, and its request or its certificate does not know": f"""
        SELECT r.reference, r.state, c.state FROM payments_payout p
        JOIN refunds_refundrequest r ON r.reference = p.reference
        JOIN certificates_certificate c ON c.id = r.certificate_id
        LEFT JOIN payments_payout s ON s.follows_id = p.id
        WHERE p.state = 'returned' AND s.id IS NULL AND NOT (
          (r.state = 'payment_failed' AND p.given_up_at IS NULL AND c.hold = r.reference
           AND c.state IN {_in(CAN_END)})
          OR (r.state = 'failed' AND p.given_up_at IS NOT NULL))
    """,
    "the payouts that count for a request are not its amount": """
        SELECT r.reference, r.state FROM refunds_refundrequest r
        JOIN payments_payout p ON p.reference = r.reference
        LEFT JOIN payments_payout s ON s.follows_id = p.id
        WHERE s.id IS NULL GROUP BY r.reference, r.state, r.amount HAVING SUM(p.amount) <> r.amount
    """,
    "money came back, and the audit trail of its request does not say so as often": """
        SELECT r.reference FROM refunds_refundrequest r
        WHERE (SELECT COUNT(*) FROM payments_payout p WHERE p.reference = r.reference AND p.state = 'returned')
          <> (SELECT COUNT(*) FROM core_auditentry a
              WHERE a.subject = 'refunds.refundrequest:' || r.reference AND a.act = 'returned')
    """,
    "a payout has a day in the books, a time of its return, or staff that its state does not have": f"""
        SELECT id, state FROM payments_payout
        WHERE (booked_on IS NOT NULL) <> (state IN ('paid', 'returned'))
          OR (returned_at IS NOT NULL) <> (state = 'returned')
          OR (handed_over_at IS NOT NULL AND state NOT IN {_in(UNDER_WAY)})
    """,
    "money is gone for a request that ended without it or is not decided": f"""
        SELECT p.id, r.reference, r.state FROM payments_payout p
        JOIN refunds_refundrequest r ON r.reference = p.reference
        WHERE p.state IN {_in(GONE)} AND r.state IN {_in(WITHOUT_MONEY)}
    """,
    "money is gone while an authority may still issue the certificate": f"""
        SELECT p.id FROM payments_payout p JOIN refunds_refundrequest r ON r.reference = p.reference
        JOIN certificates_certificate c ON c.id = r.certificate_id
        WHERE p.state IN {_in(GONE)} AND (c.closing_since IS NOT NULL OR c.state IN ('issued', 'revoking'))
    """,
    "the policy approved what needs a review": """
        SELECT d.id FROM refunds_decision d JOIN refunds_refundrequest r ON r.id = d.request_id
        WHERE d.by_id IS NULL AND r.review <> 'none'
    """,
    "somebody decided a request of their own": """
        SELECT d.id FROM refunds_decision d JOIN refunds_refundrequest r ON r.id = d.request_id
        WHERE d.by_id IN (r.account_id, r.requested_by_id)
    """,
    "an approver or a receiver recorded a payout": """
        SELECT p.id FROM payments_payout p JOIN payments_payment m ON m.id = p.payment_id
        WHERE p.recorded_by_id = p.approved_by_id OR p.recorded_by_id = m.account_id
    """,
    "more goes back than was paid in, or a payment does not know what": f"""
        SELECT m.id, m.amount, m.ordered_back FROM payments_payment m
        LEFT JOIN payments_payout p ON p.payment_id = m.id AND p.state IN {_in(GONE)}
        GROUP BY m.id, m.amount, m.ordered_back
        HAVING COALESCE(SUM(p.amount), 0) <> m.ordered_back OR m.ordered_back > m.amount
    """,
    "a request is refunded without all of its money, or its certificate is not": """
        SELECT r.reference FROM refunds_refundrequest r JOIN certificates_certificate c ON c.id = r.certificate_id
        LEFT JOIN payments_payout p ON p.reference = r.reference AND p.state = 'paid'
        WHERE r.state = 'refunded' GROUP BY r.reference, r.amount, c.state
        HAVING COALESCE(SUM(p.amount), 0) <> r.amount OR c.state <> 'refunded'
    """,
    "a certificate is refunded and no request of its is": """
        SELECT c.instance_id FROM certificates_certificate c
        LEFT JOIN refunds_refundrequest r ON r.certificate_id = c.id AND r.state = 'refunded'
        WHERE c.state = 'refunded' AND r.id IS NULL
    """,
    "a payout stands in the books otherwise than it is": f"""
        SELECT p.id, p.state FROM payments_payout p LEFT JOIN payments_ledgerentry e ON e.payout_id = p.id
        GROUP BY p.id, p.state
        HAVING COALESCE(SUM(CASE e.cause WHEN 'payout_ordered' THEN 1 WHEN 'payout_failed' THEN -1 ELSE 0 END), 0)
            <> CASE WHEN p.state IN {_in(GONE | {"returned"})} THEN 1 ELSE 0 END
          OR COALESCE(SUM(CASE e.cause WHEN 'payout_paid' THEN 1 ELSE 0 END), 0)
            <> CASE WHEN p.state IN ('paid', 'returned') THEN 1 ELSE 0 END
          OR COALESCE(SUM(CASE e.cause WHEN 'payout_returned' THEN 1 ELSE 0 END), 0)
            <> CASE p.state WHEN 'returned' THEN 1 ELSE 0 END
    """,
    "what the books of a channel say was paid is not what is paid": """
        SELECT a.channel, a.currency FROM payments_ledgeraccount a
        WHERE a.kind = 'channel' AND
          (SELECT COALESCE(SUM(amount), 0) FROM payments_ledgerentry WHERE credit_id = a.id)
          - (SELECT COALESCE(SUM(amount), 0) FROM payments_ledgerentry WHERE debit_id = a.id)
          <> (SELECT COALESCE(SUM(amount), 0) FROM payments_payout
              WHERE state = 'paid' AND channel = a.channel AND currency = a.currency)
    """,
    "an entry of the books carries another amount than its payout": """
        SELECT e.id FROM payments_ledgerentry e JOIN payments_payout p ON p.id = e.payout_id
        WHERE e.amount <> p.amount OR e.currency <> p.currency
    """,
    "an account balance is not the sum of its entries": """
        SELECT a.id, a.balance FROM payments_ledgeraccount a
        WHERE a.balance IS NOT NULL AND a.balance <>
          (SELECT COALESCE(SUM(amount), 0) FROM payments_ledgerentry WHERE credit_id = a.id)
          - (SELECT COALESCE(SUM(amount), 0) FROM payments_ledgerentry WHERE debit_id = a.id)
    """,
    "what the books call under way is not what is": f"""
        SELECT a.currency FROM payments_ledgeraccount a
        WHERE a.kind = 'pending' AND
          (SELECT COALESCE(SUM(amount), 0) FROM payments_ledgerentry WHERE credit_id = a.id)
          - (SELECT COALESCE(SUM(amount), 0) FROM payments_ledgerentry WHERE debit_id = a.id)
          <> (SELECT COALESCE(SUM(amount), 0) FROM payments_payout
              WHERE state IN {_in(UNDER_WAY)} AND currency = a.currency)
    """,
    "an act that happens once stands twice in the audit trail": """
        SELECT subject, act FROM core_auditentry
        WHERE act IN
          ('requested', 'approved', 'money_ordered', 'confirmed', 'rejected', 'cancelled', 'lapsed', 'failed')
        GROUP BY subject, act HAVING COUNT(*) > 1
    """,
    "a request was refunded more than once for each time that money came back": """
        SELECT subject FROM core_auditentry WHERE act IN ('refunded', 'confirmed', 'returned')
        GROUP BY subject
        HAVING SUM(CASE act WHEN 'returned' THEN 0 ELSE 1 END) > 1 + SUM(CASE act WHEN 'returned' THEN 1 ELSE 0 END)
    """,
    "a request ended, and the audit trail does not say so": """
        SELECT r.reference, r.state FROM refunds_refundrequest r
        LEFT JOIN core_auditentry a ON a.subject = 'refunds.refundrequest:' || r.reference
          AND (a.act = r.state OR (r.state = 'refunded' AND a.act = 'confirmed'))
        WHERE r.state IN ('refunded', 'rejected', 'cancelled', 'lapsed', 'failed') AND a.id IS NULL
    """,
    "a payout could not be settled": """
        SELECT key, last_error FROM core_job WHERE kind = 'pay_payout' AND last_error <> ''
    """,
}


def broken() -> dict[str, list[tuple[object, ...]]]:
    """The sentences that do not hold now, each with the rows that break it."""
    with connection.cursor() as cursor:
        return {sentence: rows for sentence, query in INVARIANTS.items() if (rows := _rows(cursor, query))}


def _rows(cursor: object, query: str) -> list[tuple[object, ...]]:
    cursor.execute(query)  # type: ignore[attr-defined]
    return list(cursor.fetchall())  # type: ignore[attr-defined]
