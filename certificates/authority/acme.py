"""An authority spoken with by ACME (RFC 8555): orders, challenges, finalization, revocation."""

from datetime import datetime

from acme import challenges, messages
from acme.crypto_util import get_identifiers_from_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from certificates import foreign
from certificates.authority import acme_owners
from certificates.authority.acme_client import GONE, Rejected, Talk, talk
from certificates.authority.acme_status import published_revocation
from certificates.authority.acme_words import words_of
from certificates.authority.base import (
    AuthorityUnavailable,
    Challenge,
    Closed,
    Enrolled,
    HandedIn,
    Issued,
    Refused,
    Waiting,
)
from certificates.chains import is_root
from certificates.states import RevocationReason, Verification

PENDING, PROCESSING, READY = messages.STATUS_PENDING, messages.STATUS_PROCESSING, messages.STATUS_READY
VALID = messages.STATUS_VALID

KINDS: dict[str, type[challenges.KeyAuthorizationChallenge]] = {
    Verification.DNS: challenges.DNS01,
    Verification.FILE: challenges.HTTP01,
}
# RFC 5280, 5.3.1.
REASON_CODES: dict[str, int] = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION: 5,
}

SHARED = gettext_lazy("Somebody else has applied for one of these names at the same time. Please hand in again.")
LOST = gettext_lazy("The certificate authority no longer knows this order. Please hand in again.")
ENDED = gettext_lazy("The certificate authority has ended the check of the domains. Please hand in again.")
OTHER_NAMES = gettext_lazy(
    "The certificate signing request (CSR) must name exactly the domains of the application: %(names)s."
)
UNREADABLE = gettext_lazy(
    "A part of the certificate signing request (CSR), such as its subject, can't be read. Please hand in a new one."
)
OTHER_KEY = gettext_lazy(
    "The certificate authority has used this order for another certificate of the same names. Please hand in again."
)


class NotOffered(Exception):
    """A name cannot be verified in the way that was chosen; the text is fit for the customer."""


class AcmeAuthority:
    """`Enrolled.data` holds `order`, the order's address, and `authorizations`, theirs with the name of each."""

    def hand_in(self, order: Enrolled, *, at: datetime) -> HandedIn | Refused:
        if cause := _unfit(order):
            return Refused(cause)
        try:
            with talk() as line:
                made = acme_owners.order_of_its_own(line, order)
                proofs = [_proof(line, order, each.body) for each in made.authorizations if each.body.status != VALID]
        except (Rejected, NotOffered) as no:
            return Refused(str(no))
        names = {each.uri: _name_of(each.body) for each in made.authorizations}
        return HandedIn(tuple(proofs), {"order": made.uri, "authorizations": names})

    def make_ready(self, order: Enrolled, *, at: datetime) -> Waiting | Refused:
        if acme_owners.is_shared(order):
            return Refused(str(SHARED))
        try:
            with talk() as line:
                for address in order.data["authorizations"]:
                    _let_look(line, order, address)
        except (Rejected, NotOffered) as no:
            return Refused(_cause_of(no))
        return Waiting(order.data)

    def poll(self, order: Enrolled, *, at: datetime) -> Waiting | Issued | Refused:
        try:
            with talk() as line:
                return _follow(line, order)
        except Rejected as no:
            return Refused(_cause_of(no))

    def close(self, order: Enrolled, *, at: datetime) -> Closed | Issued | Waiting:
        if not order.data:
            return Closed()
        try:
            with talk() as line:
                return _close(line, order)
        except Rejected as no:
            if no.code == GONE:
                return Closed()
            raise AuthorityUnavailable(f"{no.code}: {no}") from no

    def revoke(self, order: Enrolled, pem: str, reason: str, *, at: datetime) -> datetime | None:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        with talk() as line:
            is_new = _revoke(line, certificate, REASON_CODES[reason])
        return at if is_new else _first_moment(pem, at)

    def poll_revocation(self, order: Enrolled, pem: str, *, at: datetime) -> datetime | None:
        return published_revocation(pem, at=at)


def _cause_of(no: Exception) -> str:
    return str(LOST) if isinstance(no, Rejected) and no.code == GONE else str(no)


# --- Handing in --------------------------------------------------------------------------------


def _unfit(order: Enrolled) -> str:
    """Why the order cannot be handed in: ACME issues for the names of the CSR, all of them and no others."""
    csr = x509.load_pem_x509_csr(order.csr.encode())
    try:
        names, addresses = get_identifiers_from_x509(csr.subject, csr.extensions)
    except Exception:  # cryptography raises many kinds for parts that it can't read
        return str(UNREADABLE)
    if not addresses and {name.lower() for name in names} == set(order.names):
        return ""
    return OTHER_NAMES % {"names": ", ".join(order.names)}


def _proof(line: Talk, order: Enrolled, authorization: messages.Authorization) -> Challenge:
    asked = _challenge_of(order, authorization).chall
    if isinstance(asked, challenges.DNS01):
        place = asked.validation_domain_name(authorization.identifier.value)
    else:
        place = asked.path
    return Challenge(name=_name_of(authorization), place=place, value=asked.validation(line.key))


def _name_of(authorization: messages.Authorization) -> str:
    return f"*.{authorization.identifier.value}" if authorization.wildcard else authorization.identifier.value


def _challenge_of(order: Enrolled, authorization: messages.Authorization) -> messages.ChallengeBody:
    """The challenge of the chosen kind. Raises NotOffered."""
    for challenge in authorization.challenges:
        if isinstance(challenge.chall, KINDS[order.verification]):
            return challenge
    raise NotOffered(
        _("The certificate authority does not verify %(name)s in the way that was chosen. Please choose the other one.")
        % {"name": _name_of(authorization)}
    )


# --- Being looked at, and issuing ---------------------------------------------------------------


def _let_look(line: Talk, order: Enrolled, address: str) -> None:
    """Answer the challenge of one authorization, unless that was done before."""
    if not (waiting := _unanswered(line, order, address)):
        return
    try:
        line.answer(waiting)
    except Rejected:
        # Another worker may have been quicker.
        if _unanswered(line, order, address):
            raise


def _unanswered(line: Talk, order: Enrolled, address: str) -> messages.ChallengeBody | None:
    authorization = line.authorization(address)
    if authorization.status != PENDING:
        return None
    challenge = _challenge_of(order, authorization)
    return challenge if challenge.status == PENDING else None


def _follow(line: Talk, order: Enrolled) -> Waiting | Issued | Refused:
    """Where the order is; one that is ready is finalized. Once it is valid it gives the same certificate each time."""
    current = line.order(order.data["order"])
    if current.status == READY:
        current = _finalize(line, order, current)
    if current.certificate:
        return _issued(line, order, current.certificate)
    if current.status in {PENDING, READY}:
        return Waiting(order.data)
    if current.status in {PROCESSING, VALID}:
        return Waiting(order.data, accepted=True)
    return Refused(_cause_of_end(line, order, current))


def _finalize(line: Talk, order: Enrolled, ready: messages.Order) -> messages.Order:
    address = order.data["order"]
    try:
        return line.finalize(address, ready, order.csr)
    except Rejected as no:
        if no.code != "orderNotReady":
            raise
        # Another worker may have been quicker.
        return line.order(address)


def _issued(line: Talk, order: Enrolled, address: str) -> Issued | Refused:
    chain = line.chain(address)
    if not chain:
        raise AuthorityUnavailable("The certificate's address gives none.")
    csr = x509.load_pem_x509_csr(order.csr.encode())
    if foreign.key_octets(chain[0]) != foreign.key_octets(csr):
        return Refused(str(OTHER_KEY))
    without_root = [chain[0], *(each for each in chain[1:] if not is_root(each))]
    return Issued("".join(each.public_bytes(Encoding.PEM).decode() for each in without_root))


def _cause_of_end(line: Talk, order: Enrolled, ended: messages.Order) -> str:
    """Why an order will give no certificate: what was found wrong with a name says more than the order does."""
    for address, name in order.data["authorizations"].items():
        for challenge in line.authorization(address).challenges:
            if challenge.error:
                return words_of(challenge.error, name)
    return words_of(ended.error) if ended.error else str(ENDED)


# --- Withdrawing -------------------------------------------------------------------------------


def _close(line: Talk, order: Enrolled) -> Closed | Issued | Waiting:
    """Deactivate what the order stands on (RFC 8555, 7.5.2): then it cannot be finalized any more."""
    before = current = line.order(order.data["order"])
    if before.status in {PENDING, READY}:
        for address in order.data["authorizations"]:
            _deactivate(line, address)
        current = line.order(order.data["order"])
    # An order that was issued meanwhile may read as deactivated all the same.
    if current.certificate:
        answer = _issued(line, order, current.certificate)
        return answer if isinstance(answer, Issued) else Closed()
    # One that could be finalized until just now may be under way, by another worker: it is looked at once more.
    may_be_under_way = before.status == READY or current.status in {PROCESSING, READY, VALID}
    return Waiting(order.data) if may_be_under_way else Closed()


def _deactivate(line: Talk, address: str) -> None:
    try:
        line.deactivate(address)
    except Rejected as no:
        # What has failed or was deactivated already is refused, and as it should be.
        if no.code != GONE and line.authorization(address).status in {PENDING, VALID}:
            raise


# --- Revoking ----------------------------------------------------------------------------------


def _revoke(line: Talk, certificate: x509.Certificate, reason: int) -> bool:
    """Whether it was revoked just now, rather than earlier. Raises AuthorityUnavailable when it is not revoked."""
    try:
        line.revoke(certificate, reason)
    except Rejected as no:
        if no.code == "alreadyRevoked":
            return False
        if no.code == "badRevocationReason" and reason:
            # Authorities may accept but some of the reasons.
            return _revoke(line, certificate, REASON_CODES[RevocationReason.UNSPECIFIED])
        raise AuthorityUnavailable(f"{no.code}: {no}") from no
    return True


def _first_moment(pem: str, at: datetime) -> datetime:
    """When it was revoked, as published; `at` where nothing is published yet."""
    try:
        return published_revocation(pem, at=at) or at
    except AuthorityUnavailable:
        return at
