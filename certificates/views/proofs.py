"""What the Verify panel shows of an order: each proof, how far it is, and in words what a look has seen instead."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from certificates.authority.base import Challenge, proofs_of
from certificates.models import Certificate, Enrollment
from certificates.names import proven_under, shown
from certificates.resolving import Seen
from certificates.services import verifying
from certificates.services.verifying import Looked
from certificates.states import EnrollmentState, Verification
from certificates.verification import Finding
from core.templatetags.console_format import chip

# Seconds: until an order is known at the authority, and until the worker may have looked again.
WHILE_PREPARING, WHILE_LOOKING = 1, 5

MARKS = {
    Seen.FOUND: ("ok", "circle-check"),
    Seen.LATE: ("near", "clock"),
    Seen.SILENT: ("near", "clock"),
}
NOT_FOUND_MARK = ("bad", "circle-x")
AWAITED_MARK = ("busy", "clock")

# `detail` is what a finding carries.
BY_DNS: Mapping[Seen, Any] = {
    Seen.FOUND: gettext_lazy("Found."),
    Seen.NOTHING: gettext_lazy("There is no TXT record at this place."),
    Seen.OTHER: gettext_lazy("There is another text: “%(detail)s”."),
    Seen.NO_NAME: gettext_lazy("This name does not exist in DNS. A new record may take some minutes to be seen."),
    Seen.SILENT: gettext_lazy("The domain's DNS servers did not answer within 5 seconds."),
    Seen.BROKEN: gettext_lazy("The domain's DNS servers answered with an error."),
    Seen.LATE: gettext_lazy("There was no time left to look for it. Try again."),
}
BY_FILE: Mapping[Seen, Any] = {
    Seen.FOUND: gettext_lazy("Found."),
    Seen.OTHER: gettext_lazy("The file holds something else: “%(detail)s”."),
    Seen.NO_NAME: gettext_lazy("%(detail)s does not exist in DNS."),
    Seen.NO_ADDRESS: gettext_lazy("%(detail)s has no address in DNS."),
    Seen.FORBIDDEN: gettext_lazy("%(detail)s is no address of the public Internet, so we do not ask there."),
    Seen.UNREACHABLE: gettext_lazy("No web server answers at %(detail)s on port 80."),
    Seen.SILENT: gettext_lazy("%(detail)s did not answer within 5 seconds."),
    Seen.BROKEN: gettext_lazy("%(detail)s gave no answer that we understand."),
    Seen.STATUS: gettext_lazy("The web server answered with status %(detail)s instead of the file."),
    Seen.REDIRECT: gettext_lazy(
        "The web server sends us on to “%(detail)s”. We fetch by http on port 80 only: publish the file there."
    ),
    Seen.TOO_MANY_REDIRECTS: gettext_lazy("The web server sends us on more than five times."),
    Seen.TOO_LARGE: gettext_lazy("The answer is larger than 64 KiB."),
    Seen.LATE: gettext_lazy("There was no time left to look for it. Try again."),
}


@dataclass(frozen=True, slots=True)
class Proof:
    """One record or file, as the panel shows it."""

    name: str
    place: str
    value: str
    state: SafeString
    seen: str


def version_of(enrollment: Enrollment | None, certificate: Certificate) -> str:
    """Changes whenever the panel does."""
    if enrollment is None:
        return "none"
    is_silent = "silent" if certificate.authority_silent_since else ""
    return f"{enrollment.pk}-{enrollment.state}-{enrollment.looks}-{bool(enrollment.proven_at)}-{is_silent}"


def context_of(certificate: Certificate, enrollment: Enrollment | None, looked: Looked | None) -> dict[str, Any]:
    """`looked` is what Verify now has just found, which stays until the reader goes on."""
    if enrollment is None:
        return {"stage": "unknown"}
    stage = _stage(enrollment)
    last, following = verifying.look_times(enrollment)
    return {
        "stage": stage,
        "enrollment": enrollment,
        "version": version_of(enrollment, certificate),
        "asks_every": 0 if looked else _asks_every(enrollment),
        "is_file": enrollment.verification == Verification.FILE,
        "is_checked_by_staff": bool(certificate.product and certificate.product.is_checked_by_staff),
        "proofs": _proofs(enrollment, looked, was_looked=last is not None),
        "looked": looked,
        "proven_by": verifying.proven_by(enrollment),
        "looked_at": last,
        "looks_at": following,
    }


def _stage(enrollment: Enrollment) -> str:
    if enrollment.state == EnrollmentState.ORDERED:
        return "preparing"
    if enrollment.state == EnrollmentState.ISSUED:
        return "issued"
    return "open" if verifying.is_unproven(enrollment) else "proven"


def _asks_every(enrollment: Enrollment) -> int:
    """In seconds; 0 once nothing more is to come."""
    if enrollment.state == EnrollmentState.ISSUED:
        return 0
    return WHILE_PREPARING if enrollment.state == EnrollmentState.ORDERED else WHILE_LOOKING


def _proofs(enrollment: Enrollment, looked: Looked | None, *, was_looked: bool) -> list[Proof]:
    found = {(each.challenge.place, each.challenge.value): each for each in looked.findings} if looked else {}
    return [
        _proof(challenge, enrollment, found.get((challenge.place, challenge.value)), was_looked=was_looked)
        for challenge in proofs_of(enrollment.challenges)
    ]


def _proof(challenge: Challenge, enrollment: Enrollment, finding: Finding | None, *, was_looked: bool) -> Proof:
    is_file = enrollment.verification == Verification.FILE
    place = f"http://{proven_under(challenge.name)}{challenge.place}" if is_file else challenge.place
    state, seen = _standing(enrollment, finding, was_looked=was_looked)
    return Proof(shown(challenge.name), place, challenge.value, state, seen)


def _standing(enrollment: Enrollment, finding: Finding | None, *, was_looked: bool) -> tuple[SafeString, str]:
    if enrollment.proven_at:
        return chip(_("Proven"), MARKS[Seen.FOUND]), ""
    if finding is None:
        return chip(_("Not seen yet") if was_looked else _("Not looked for yet"), AWAITED_MARK), ""
    word = _("Found") if finding.is_found else _("Not found")
    sentence = "" if finding.is_found else sentence_of(finding, enrollment.verification)
    return chip(word, MARKS.get(finding.seen, NOT_FOUND_MARK)), sentence


def sentence_of(finding: Finding, verification: str) -> str:
    """What was seen, for the customer."""
    sentences = BY_FILE if verification == Verification.FILE else BY_DNS
    return str(sentences[finding.seen]) % {"detail": finding.detail}
