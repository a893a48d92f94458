"""Revoke: who may, what it says, what it stores, and what is refused."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client

from certificates.exceptions import (
    CertificateHeld,
    CertificatesError,
    NoContact,
    NotNamed,
    NotYourCertificate,
    RevocationUnderWay,
    WrongState,
)
from certificates.forms.revoking import RevokeForm
from certificates.models import Certificate, Revocation
from certificates.services import record_revoked, revocations
from certificates.states import CertificateState, Level, RevocationReason, RevocationState, Source
from core.models import AuditEntry, Job, Notice, User
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle.engine import FakeAuthority, advance
from tests.lifecycle.revoking import (
    CONTACT,
    confirmed,
    dv,
    imported,
    ov,
    panel_of,
    requested,
    send_mails,
    state_of,
)
from tests.refunds.cases import DAY, HOUR, acts, anew, everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

S, R = CertificateState, RevocationState
TYPED = {"reason": "superseded", "domain": "shop.example.com"}


def press(client: Client, certificate: Certificate, **typed: str):
    return client.post(panel_of(certificate, "revoke"), {**TYPED, **typed})


def stored_beside(certificate: Certificate) -> Revocation:
    """A wish that no service has stored."""
    by = certificate.account
    return Revocation.objects.create(
        certificate=certificate, state=R.REQUESTED, reason="superseded", requested_by=by, requested_at=NOON
    )


# --- What the panel says -----------------------------------------------------------------------


def test_the_panel_says_what_comes_back_and_until_when(customer: User, as_customer: Client) -> None:
    text = words(as_customer.get(panel_of(dv(customer), "revoke")))
    assert "Not refundable yet: revoke it by 2026-12-13 to get CNY 1,200.00 back." in text
    assert "Last safe day to request the revocation 2026-12-13" in text
    assert "Revocation must be completed by 2026-12-18" in text
    assert "A revocation cannot be undone." in text
    assert "can no longer be viewed or downloaded" in text
    assert "Type shop.example.com ." in text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ago": 29 * DAY}, "Not refundable: the certificate was issued more than 28 days ago."),
        ({"ago": 25 * DAY}, "the refund is lost if the revocation is completed after 2026-11-26"),
        ({"payments": {}, "voucher": 120_000}, "vouchers aren't refunded"),
    ],
)
def test_the_panel_says_where_nothing_or_perhaps_nothing_comes_back(
    customer: User, as_customer: Client, fields: dict, sentence: str
) -> None:
    assert sentence in words(as_customer.get(panel_of(dv(customer, **fields), "revoke")))


def test_a_free_certificate_brings_nothing_back(customer: User, as_customer: Client) -> None:
    certificate = factories.issued(customer, product=factories.ProductFactory(free=True))
    text = words(as_customer.get(panel_of(certificate, "revoke")))
    assert "free DV certificates cost nothing" in text
    assert "You get back" not in text


def test_the_panel_says_who_must_confirm(customer: User, as_customer: Client) -> None:
    assert f"We send a mail with a link to {CONTACT}." in words(as_customer.get(panel_of(ov(customer), "revoke")))
    assert "cannot be withdrawn" in words(as_customer.get(panel_of(dv(customer), "revoke")))


def test_looking_changes_nothing(customer: User, as_customer: Client) -> None:
    certificate = ov(customer)
    before = everything()
    as_customer.get(panel_of(certificate, "revoke"))
    assert everything() == before
    assert not Revocation.objects.exists()


# --- DV: at once -------------------------------------------------------------------------------


def test_a_customer_has_a_dv_certificate_revoked_at_once(
    customer: User, as_customer: Client, authority: FakeAuthority
) -> None:
    certificate = dv(customer)
    answer = press(as_customer, certificate)
    assert answer.status_code == 302
    assert answer["Location"] == f"{panel_of(certificate, 'revocation')}?done=requested"
    stored, revocation = anew(certificate), Revocation.objects.get()
    assert (stored.state, stored.revocation_requested_at, stored.revocation_confirmed_at) == (S.REVOKING, NOON, NOON)
    assert (revocation.state, revocation.reason, revocation.requested_by) == (R.CONFIRMED, "superseded", customer)
    assert (revocation.contact_email, revocation.links_sent, revocation.confirmed_at) == ("", 0, NOON)
    assert acts(certificate) == ["revocation_requested"]
    assert not Notice.objects.filter(template="revocation_link").exists()
    advance()
    assert (anew(certificate).state, anew(certificate).revoked_at) == (S.REVOKED, NOON)
    assert anew(revocation).state == R.COMPLETED
    assert authority.calls == ["revoke"]


def test_the_answer_leads_to_where_it_stands_and_tells_the_list(customer: User, as_customer: Client) -> None:
    certificate = dv(customer)
    page = as_customer.get(press(as_customer, certificate)["Location"])
    assert page.status_code == 200
    assert "The revocation is requested." in words(page)
    assert "certificatesChanged" in page["HX-Trigger"]


# --- OV and EV: by mail ------------------------------------------------------------------------


@pytest.mark.parametrize("level", [Level.OV, Level.EV])
def test_the_contact_of_an_ov_or_ev_certificate_is_asked_first(
    customer: User, as_customer: Client, authority: FakeAuthority, level: Level
) -> None:
    certificate = ov(customer, level=level)
    press(as_customer, certificate)
    stored, revocation = anew(certificate), Revocation.objects.get()
    assert (stored.state, stored.revocation_requested_at, stored.revocation_confirmed_at) == (S.REVOKING, NOON, None)
    assert (revocation.state, revocation.contact_email, revocation.links_sent) == (R.REQUESTED, CONTACT, 1)
    assert revocation.link_expires_at == NOON + timedelta(days=3)
    [message] = send_mails()
    assert message.to == [CONTACT]
    advance()
    assert authority.calls == []
    assert state_of(certificate) == S.REVOKING


def test_without_a_contact_the_account_is_asked(customer: User) -> None:
    certificate = imported(customer, level=Level.OV)
    assert requested(certificate).contact_email == customer.email


def test_without_any_address_nothing_is_requested(customer: User, as_customer: Client) -> None:
    User.objects.filter(pk=customer.pk).update(email="")
    certificate = ov(customer, contact="")
    before = everything()
    for answer in (as_customer.get(panel_of(certificate, "revoke")), press(as_customer, certificate)):
        assert answer.status_code == 409
        assert "Enter yours in Settings first." in words(answer)
    with pytest.raises(NoContact):
        requested(anew(certificate))
    assert everything() == before


def test_a_link_never_outlives_its_certificate(customer: User) -> None:
    certificate = ov(customer, not_after=NOON + HOUR)
    assert requested(certificate).link_expires_at == NOON + HOUR


# --- Typed to confirm --------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["shop.example.com", "SHOP.Example.COM", "  shop.example.com ", "shop.example.com."])
def test_the_domain_counts_in_every_writing(customer: User, as_customer: Client, typed: str) -> None:
    certificate = dv(customer)
    assert press(as_customer, certificate, domain=typed).status_code == 302
    assert state_of(certificate) == S.REVOKING


@pytest.mark.parametrize("typed", ["münchen.example.com", "MÜNCHEN.example.com", "xn--mnchen-3ya.example.com"])
def test_an_idn_counts_in_either_form(customer: User, as_customer: Client, typed: str) -> None:
    certificate = dv(customer, domains=("xn--mnchen-3ya.example.com",))
    page = words(as_customer.get(panel_of(certificate, "revoke")))
    assert "münchen.example.com (xn--mnchen-3ya.example.com)" in page
    assert press(as_customer, certificate, domain=typed).status_code == 302


def test_a_wildcard_is_typed_with_its_star(customer: User, as_customer: Client) -> None:
    certificate = dv(customer, domains=("*.example.com",))
    assert press(as_customer, certificate, domain="example.com").status_code == 422
    assert press(as_customer, certificate, domain="*.example.com").status_code == 302


BAD_DOMAINS = {
    "": "Type the certificate's domain",
    "   ": "Type the certificate's domain",
    "shop.example.org": "This is not the domain",
    "shop.example.com,": "This is not the domain",
    "https://shop.example.com/": "This is not the domain",
    "hop.example.com": "This is not the domain",
    "a..b": "This is not the domain",
    "xn--": "This is not the domain",
    "\u202emoc.elpmaxe.pohs": "This is not the domain",
    "x" * 300: "at most 255",
    "ü" * 255: "This is not the domain",
    "x" * 100_000: "at most 255",
    "shop.example.com\0x": "This is not the domain",
}


@pytest.mark.parametrize("typed", BAD_DOMAINS, ids=lambda typed: ascii(typed[:20]))
def test_a_wrong_domain_is_answered_beside_its_field(customer: User, as_customer: Client, typed: str) -> None:
    certificate = dv(customer)
    before = everything()
    answer = press(as_customer, certificate, domain=typed)
    assert answer.status_code == 422
    beside = answer.content.decode().split('id="id_domain_error"')[1].split("</ul>")[0]
    assert BAD_DOMAINS[typed].replace("'", "&#x27;") in beside
    assert '<option value="superseded" selected>' in answer.content.decode()
    assert everything() == before


@pytest.mark.parametrize("reason", ["", "caCompromise", "removeFromCRL", "x" * 100_000, "superseded\0"])
def test_a_wrong_reason_is_answered_beside_its_field(customer: User, as_customer: Client, reason: str) -> None:
    certificate = dv(customer)
    answer = press(as_customer, certificate, reason=reason)
    assert answer.status_code == 422
    assert 'id="id_reason_error"' in answer.content.decode()
    assert 'value="shop.example.com"' in answer.content.decode()
    assert state_of(certificate) == S.ISSUED


def test_an_empty_form_names_every_field(customer: User, as_customer: Client) -> None:
    answer = as_customer.post(panel_of(dv(customer), "revoke"), {})
    assert answer.status_code == 422
    assert words(answer).count("Choose the reason for the revocation.") == 2
    assert words(answer).count("Type the certificate's domain to confirm the revocation.") == 2


def test_the_service_compares_by_itself(customer: User) -> None:
    certificate = dv(customer)
    with pytest.raises(NotNamed):
        requested(certificate, typed="other.example.com")
    assert state_of(certificate) == S.ISSUED


def test_the_form_knows_every_reason_a_holder_may_give() -> None:
    form = RevokeForm(certificate=Certificate(name="shop.example.com"))
    assert [value for value, _ in form.fields["reason"].choices][1:] == RevocationReason.values
    with pytest.raises(ValidationError):
        form.fields["reason"].clean("cACompromise")


# --- Who and when ------------------------------------------------------------------------------


def test_nobody_revokes_what_is_not_theirs(customer: User, neighbour: User, reviewer: User) -> None:
    certificate = dv(customer)
    for stranger in (neighbour, reviewer):
        client = signed_in(stranger)
        for name in ("revoke", "revocation"):
            assert client.get(panel_of(certificate, name)).status_code == 404
            assert client.post(panel_of(certificate, name), {**TYPED, "action": "withdraw"}).status_code == 404
        for act in (
            lambda by: revocations.request_revocation(
                certificate.pk, reason="superseded", typed=certificate.name, by=by, at=NOON
            ),
            lambda by: revocations.withdraw_revocation(certificate.pk, by=by, at=NOON),
            lambda by: revocations.send_link_again(certificate.pk, by=by, at=NOON),
        ):
            with pytest.raises(NotYourCertificate):
                act(stranger)
    assert state_of(certificate) == S.ISSUED


def test_nobody_revokes_without_signing_in(customer: User) -> None:
    address = panel_of(dv(customer), "revoke")
    assert Client().post(address, TYPED)["Location"] == f"/accounts/login/?next={address}"


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (factories.certificate, "“Pending Application”"),
        (lambda account: factories.issued(account, ago=365 * DAY), "The certificate has expired."),
        (
            lambda account: factories.issued(account, source=Source.UPLOADED, payments={}),
            "This certificate was bought elsewhere.",
        ),
    ],
)
def test_what_cannot_be_revoked_says_why(customer: User, as_customer: Client, build, sentence: str) -> None:
    certificate = build(customer)
    before = everything()
    for answer in (as_customer.get(panel_of(certificate, "revoke")), press(as_customer, certificate)):
        assert answer.status_code == 409
        assert sentence in words(answer)
    with pytest.raises(WrongState):
        requested(certificate)
    assert everything() == before


def test_one_in_pending_expiration_can_be_revoked(customer: User, as_customer: Client) -> None:
    certificate = dv(customer, not_after=NOON + 10 * DAY)
    assert press(as_customer, certificate).status_code == 302
    assert state_of(certificate) == S.REVOKING


def test_the_same_form_again_leads_to_the_one_request(customer: User, as_customer: Client) -> None:
    certificate = dv(customer)
    press(as_customer, certificate)
    answer = press(as_customer, certificate, reason="keyCompromise")
    assert answer["Location"] == panel_of(certificate, "revocation")
    assert Revocation.objects.get().reason == "superseded"


def test_a_form_overtaken_by_another_leads_to_its_request(
    customer: User, as_customer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = dv(customer)
    plain = revocations.request_revocation

    def overtaken(*args, **kwargs):
        plain(*args, **kwargs)
        return plain(*args, **kwargs)

    monkeypatch.setattr(revocations, "request_revocation", overtaken)
    assert press(as_customer, certificate)["Location"] == panel_of(certificate, "revocation")
    assert Revocation.objects.count() == 1


def test_a_second_live_wish_is_a_sentence_and_no_failure(customer: User, as_customer: Client) -> None:
    """The database holds one a certificate, should the states ever be at odds."""
    certificate = dv(customer)
    stored_beside(certificate)
    before = everything()
    answer = press(as_customer, certificate)
    assert answer.status_code == 409
    assert "One certificate takes one request." in words(answer)
    with pytest.raises(RevocationUnderWay):
        requested(certificate)
    assert everything() == before


def test_an_order_of_three_takes_three_requests_and_no_more(customer: User) -> None:
    bought = factories.bought_together(
        customer,
        [40_000] * 3,
        {"balance": 120_000},
        state=S.ISSUED,
        issued_at=NOON - HOUR,
        not_after=NOON + 365 * DAY,
    )
    for certificate in bought:
        requested(anew(certificate))
    for certificate in bought:
        with pytest.raises(WrongState):
            requested(anew(certificate))
        with pytest.raises(IntegrityError), transaction.atomic():
            Revocation.objects.create(
                certificate=certificate,
                state=R.REQUESTED,
                reason="superseded",
                requested_by=customer,
                requested_at=NOON,
            )
    assert Revocation.objects.count() == 3


# --- Under refund ------------------------------------------------------------------------------


def under_refund(customer: User) -> Certificate:
    certificate = factories.revoked(customer)
    factories.submit(certificate)
    return anew(certificate)


def test_under_refund_nothing_is_revoked(customer: User, as_customer: Client) -> None:
    certificate = under_refund(customer)
    before = everything()
    for answer in (as_customer.get(panel_of(certificate, "revoke")), press(as_customer, certificate)):
        assert answer.status_code == 409
        assert "A refund of this certificate is under way." in words(answer)
    with pytest.raises(CertificateHeld):
        requested(certificate)
    assert everything() == before


@pytest.mark.parametrize("action", ["resend", "withdraw"])
def test_under_refund_no_wish_is_changed(customer: User, as_customer: Client, action: str) -> None:
    certificate = under_refund(customer)
    before = everything()
    answer = as_customer.post(panel_of(certificate, "revocation"), {"action": action})
    assert answer.status_code == 409
    act = {"resend": revocations.send_link_again, "withdraw": revocations.withdraw_revocation}[action]
    with pytest.raises(CertificateHeld):
        act(certificate.pk, by=customer, at=NOON)
    assert everything() == before


# --- Where the console speaks with no authority ------------------------------------------------


def test_an_imported_certificate_waits_for_what_staff_record(customer: User, reviewer: User) -> None:
    certificate = imported(customer)
    requested(certificate)
    assert state_of(certificate) == S.REVOKING
    assert not Job.objects.filter(kind="advance_enrollment").exists()
    record_revoked(certificate.pk, by=reviewer, at=NOON + DAY)
    assert (state_of(certificate), Revocation.objects.get().state) == (S.REVOKED, R.COMPLETED)


def test_staff_record_nothing_before_the_contact_has_confirmed(customer: User, reviewer: User) -> None:
    certificate = imported(customer, level=Level.OV)
    revocation = requested(certificate)
    with pytest.raises(CertificatesError):
        record_revoked(certificate.pk, by=reviewer, at=NOON)
    assert anew(revocation).state == R.REQUESTED


# --- Trail -------------------------------------------------------------------------------------


def test_the_trail_keeps_who_asked_why_and_who_confirmed(customer: User, authority: FakeAuthority) -> None:
    certificate = ov(customer)
    confirmed(certificate)
    asked, agreed = AuditEntry.objects.order_by("id")
    assert (asked.act, asked.by, asked.detail["reason"]) == ("revocation_requested", customer, "superseded")
    assert (agreed.act, agreed.by, agreed.note) == ("revocation_confirmed", None, CONTACT)
