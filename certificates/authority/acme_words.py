"""What an ACME authority says is wrong (RFC 8555, 6.7), in words for the customer."""

from acme import messages
from django.utils.translation import gettext as _

LONGEST_DETAIL = 300


def words_of(problem: messages.Error, name: str = "") -> str:
    """What is wrong with `name`, or with the application as a whole, and what the authority says itself."""
    problem = _first_of(problem)
    if problem.identifier:
        name = problem.identifier.value
    sentence = _sentence(problem.code or "", _plain(name) or _("one of the names"))
    detail = _plain(problem.detail or "")[:LONGEST_DETAIL]
    return sentence + " " + _("It says: “%(detail)s”") % {"detail": detail} if detail else sentence


def _first_of(problem: messages.Error) -> messages.Error:
    return problem.subproblems[0] if problem.subproblems else problem


def _sentence(code: str, name: str) -> str:
    sentences = {
        "rejectedIdentifier": _("The certificate authority does not issue certificates for %(name)s."),
        "unsupportedIdentifier": _("The certificate authority does not issue certificates for %(name)s."),
        "caa": _("A CAA record of %(name)s forbids the certificate authority to issue."),
        "badCSR": _("The certificate authority does not accept the certificate signing request (CSR)."),
        "connection": _("The certificate authority could not reach the web server of %(name)s."),
        "dns": _("The certificate authority could not look %(name)s up in the DNS."),
        "dnssec": _("The certificate authority found the DNSSEC signatures of %(name)s to be wrong."),
        "incorrectResponse": _("What the certificate authority found for %(name)s is not what was to be published."),
        "unauthorized": _("What the certificate authority found for %(name)s is not what was to be published."),
        "tls": _("The certificate authority met a TLS error at the web server of %(name)s."),
    }
    return sentences.get(code, _("The certificate authority has refused the application.")) % {"name": name}


def _plain(text: str) -> str:
    """What may be stored and read: on one line, nothing invisible."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
