"""Apply for Certificate: handed in by its owner, in its states, and what becomes of it."""

from datetime import timedelta

import pytest
from cryptography import x509
from django.test import Client

from certificates.csr import make_request
from certificates.exceptions import CertificateHeld, KeyInUse, NotYourCertificate, StillClosing, WrongState
from certificates.models import Application, Certificate, SearchTerm
from certificates.services import applications, enrolling
from certificates.services.applications import Submission, submit_application
from certificates.states import CertificateState, DomainType, EnrollmentState, KeyType, Level
from core.models import AuditEntry, Job, User
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle.applying import COMPANY, OV, address, apply, bought, kept
from tests.lifecycle.engine import FakeAuthority, advance, enrollment_of, fresh, state_of
from tests.lifecycle.requests import RSA_KEY, csr_of
from tests.races.running import together

SUBMISSION = Submission(("shop.example.com",), KeyType.EC_P256)
S = CertificateState


@pytest.fixture(autouse=True)
def at_noon(frozen: object) -> None:
    """Views read the clock."""


# --- Handed in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "state"),
    [(Level.DV, S.PENDING_VERIFICATION), (Level.OV, S.VALIDATING_APPLICATION), (Level.EV, S.VALIDATING_APPLICATION)],
)
def test_customer_applies(as_customer: Client, customer: User, level: str, state: str) -> None:
    certificate = bought(customer, level)
    answer = apply(as_customer, certificate, domains="Shop.example.com.\nwww.shop.example.com")
    assert (answer.status_code, answer["Location"]) == (302, address(certificate, "verify") + "?done=submitted")
    now = fresh(certificate)
    assert (now.state, now.submitted_at, now.name) == (state, NOON, "shop.example.com")
    assert (now.proven_at, now.validated_at, now.failure_cause) == (None, None, "")
    assert list(now.domains.values_list("name", flat=True)) == ["shop.example.com", "www.shop.example.com"]
    enrollment = enrollment_of(certificate)
    assert (enrollment.state, enrollment.ordered_at) == (EnrollmentState.ORDERED, NOON)
    assert enrollment.names == ["shop.example.com", "www.shop.example.com"]
    assert enrollment.csr == now.application.csr
    assert Job.objects.filter(kind="advance_enrollment").count() == 1


def test_everything_typed_is_stored_and_the_key_encrypted(as_customer: Client, customer: User) -> None:
    certificate = bought(customer, Level.OV)
    apply(as_customer, certificate)
    application = Application.objects.get(certificate=certificate)
    typed = {name: value for name, value in OV.items() if name != "csr"}
    assert {name: getattr(application, name) for name in typed} == typed
    assert application.key and "PRIVATE" not in application.key
    assert x509.load_pem_x509_csr(application.csr.encode()).is_signature_valid
    assert len(application.key_fingerprint) == 64


def test_audit_trail_says_what_was_handed_in_without_the_key(as_customer: Client, customer: User) -> None:
    certificate = bought(customer)
    apply(as_customer, certificate)
    entry = AuditEntry.objects.get(act="application_submitted")
    assert (entry.by, entry.at) == (customer, NOON)
    reference = f"{certificate.instance_id}-1"
    assert entry.detail == {"reference": reference, "names": ["shop.example.com"], "key": "ec256"}


def test_pasted_csr_is_handed_in_and_no_key_kept(as_customer: Client, customer: User) -> None:
    certificate = bought(customer)
    csr = csr_of(["shop.example.com"])
    assert apply(as_customer, certificate, key_type="pasted", csr=f"Request:\n{csr}").status_code == 302
    application = Application.objects.get(certificate=certificate)
    assert (application.csr, application.key) == (csr, "")


def test_customer_finds_it_by_its_new_names_alone(as_customer: Client, customer: User) -> None:
    certificate = bought(customer)
    SearchTerm.objects.create(certificate=certificate, account=customer, text="digicert dv single domain")
    apply(as_customer, certificate, domains="bücher.example.com")
    terms = set(SearchTerm.objects.filter(certificate=certificate, account=customer).values_list("text", flat=True))
    assert {"bücher.example.com", "xn--bcher-kva.example.com", "example.com"} <= terms
    assert "digicert dv single domain" not in terms
    assert fresh(certificate).name == "xn--bcher-kva.example.com"


@pytest.mark.parametrize(
    ("domain_type", "domains", "names"),
    [
        (DomainType.WILDCARD, "*.example.com example.com", ["*.example.com", "example.com"]),
        (DomainType.MULTI, "a.example.com, b.example.com", ["a.example.com", "b.example.com"]),
    ],
)
def test_customer_applies_for_several_names(
    as_customer: Client, customer: User, domain_type: str, domains: str, names: list[str]
) -> None:
    certificate = bought(customer, domain_type=domain_type, names_bought=2)
    assert apply(as_customer, certificate, domains=domains).status_code == 302
    assert enrollment_of(certificate).names == names


# --- The form ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domains", "domain_type"),
    [("github.io", DomainType.SINGLE), ("*.github.io\ngithub.io", DomainType.WILDCARD)],
)
def test_owner_of_a_private_suffix_applies_for_it(
    as_customer: Client, customer: User, domains: str, domain_type: str
) -> None:
    """Control of the name is proven like any other's."""
    certificate = bought(customer, domain_type=domain_type)
    assert apply(as_customer, certificate, domains=domains).status_code == 302
    assert state_of(certificate) == CertificateState.PENDING_VERIFICATION


def test_form_asks_for_a_company_only_for_ov_and_ev(as_customer: Client, customer: User) -> None:
    for level, asks in ((Level.DV, False), (Level.OV, True), (Level.EV, True)):
        page = as_customer.get(address(bought(customer, level)))
        assert page.status_code == 200
        assert all((f'name="{name}"' in page.content.decode()) == asks for name in COMPANY)


def test_form_begins_with_what_the_account_knows(as_customer: Client, customer: User) -> None:
    certificate = factories.certificate(customer)
    page = as_customer.get(address(certificate))
    known = {"contact_name": "customer", "contact_email": "customer@example.com", "domains": "shop.example.com"}
    assert known.items() <= kept(page).items()
    assert (kept(page)["verification"], kept(page)["key_type"]) == ("dns", "rsa2048")


def test_form_begins_with_the_draft(as_customer: Client, customer: User, authority: FakeAuthority) -> None:
    certificate = bought(customer, Level.OV)
    csr = csr_of(["shop.example.com"])
    for typed in (
        {
            "domains": "Shop.example.com,\nwww.shop.example.com",
            "verification": "file",
            "key_type": "rsa2048",
            "csr": "",
        },
        {"key_type": "pasted", "csr": csr},
    ):
        assert apply(as_customer, certificate, **typed).status_code == 302
        applications.cancel_application(certificate.pk, by=customer, at=NOON)
        advance()
        assert state_of(certificate) == S.PENDING_APPLICATION
        assert kept(as_customer.get(address(certificate))) == {**OV, **typed}


def test_form_offers_no_file_for_wildcards(as_customer: Client, customer: User) -> None:
    page = as_customer.get(address(bought(customer, domain_type=DomainType.WILDCARD)))
    assert 'value="dns"' in page.content.decode()
    assert 'value="file"' not in page.content.decode()


def test_form_lists_every_country_once(as_customer: Client, customer: User) -> None:
    from certificates.forms.applying import countries

    codes = [code for code, _name in countries("en")]
    assert len(codes) == len(set(codes)) == 249
    assert {"CN", "SG", "DE", "TW", "HK", "US"} <= set(codes)
    assert 'value="CN"' in as_customer.get(address(bought(customer, Level.OV))).content.decode()


def test_drawer_and_page_show_the_same_form(as_customer: Client, customer: User) -> None:
    certificate = bought(customer)
    page, drawer = (as_customer.get(address(certificate), headers=headers) for headers in ({}, {"HX-Request": "true"}))
    assert "<html" in page.content.decode() and "<html" not in drawer.content.decode()
    assert kept(page) == kept(drawer)


# --- Again after a failure ---------------------------------------------------------------------


def failed(customer: User, authority: FakeAuthority) -> Certificate:
    certificate = bought(customer)
    submit_application(certificate.pk, SUBMISSION, by=customer, at=NOON)
    now = fresh(certificate)
    enrolling.refuse_running(now, "The phone number is wrong.", at=NOON)
    now.save()
    return now


def test_customer_corrects_what_failed(as_customer: Client, customer: User, authority: FakeAuthority) -> None:
    certificate = failed(customer, authority)
    advance()
    assert "The phone number is wrong." in words(as_customer.get(address(certificate)))
    assert apply(as_customer, certificate).status_code == 302
    assert state_of(certificate) == S.PENDING_VERIFICATION
    assert fresh(certificate).failure_cause == ""
    assert enrollment_of(certificate).reference.endswith("-2")


def test_customer_waits_until_the_former_one_is_closed(
    as_customer: Client, customer: User, authority: FakeAuthority
) -> None:
    certificate = failed(customer, authority)
    for answer in (as_customer.get(address(certificate)), apply(as_customer, certificate)):
        assert answer.status_code == 409
        assert "still being closed" in words(answer)
    with pytest.raises(StillClosing):
        submit_application(certificate.pk, SUBMISSION, by=customer, at=NOON)


# --- Who may, and when -------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(set(S) - applications.CAN_APPLY - {S.REFUNDED}))
def test_customer_may_not_apply_in_other_states(as_customer: Client, customer: User, state: str) -> None:
    certificate = bought(customer, state=state)
    for answer in (as_customer.get(address(certificate)), apply(as_customer, certificate)):
        assert answer.status_code == 409
    with pytest.raises(WrongState):
        submit_application(certificate.pk, SUBMISSION, by=customer, at=NOON)
    assert state_of(certificate) == state


def test_customer_may_not_apply_after_the_service_period(as_customer: Client, customer: User) -> None:
    certificate = bought(customer, bought=timedelta(days=365))
    assert certificate.service_ends_at == NOON
    assert as_customer.get(address(certificate)).status_code == 409
    assert "Expired" in words(apply(as_customer, certificate))
    with pytest.raises(WrongState):
        submit_application(certificate.pk, SUBMISSION, by=customer, at=NOON)
    submit_application(certificate.pk, SUBMISSION, by=customer, at=NOON - timedelta(seconds=1))


def test_customer_may_not_apply_while_a_refund_is_under_way(as_customer: Client, customer: User) -> None:
    certificate = bought(customer, hold="refund-1")
    for answer in (as_customer.get(address(certificate)), apply(as_customer, certificate)):
        assert answer.status_code == 409
        assert "refund" in words(answer).lower()
    with pytest.raises(CertificateHeld):
        submit_application(certificate.pk, SUBMISSION, by=customer, at=NOON)


def test_neighbour_may_not_apply(customer: User, neighbour: User) -> None:
    certificate = bought(customer)
    client = signed_in(neighbour)
    assert client.get(address(certificate)).status_code == 404
    assert apply(client, certificate).status_code == 404
    with pytest.raises(NotYourCertificate):
        submit_application(certificate.pk, SUBMISSION, by=neighbour, at=NOON)


def test_stranger_is_sent_to_sign_in(client: Client, customer: User) -> None:
    assert client.get(address(bought(customer))).status_code == 302
    assert Application.objects.count() == 0


def test_nobody_applies_for_an_uploaded_certificate(as_customer: Client, customer: User) -> None:
    certificate = factories.issued(customer)
    Certificate.objects.filter(pk=certificate.pk).update(source="uploaded", product=None, order=None)
    assert as_customer.get(address(certificate)).status_code == 409


def test_second_submission_is_told(as_customer: Client, customer: User) -> None:
    certificate = bought(customer)
    assert apply(as_customer, certificate).status_code == 302
    again = apply(as_customer, certificate)
    assert again.status_code == 409
    assert "Pending Verification" in words(again)
    assert certificate.enrollments.count() == 1


# --- One key, one instance ---------------------------------------------------------------------


def test_key_of_another_instance_is_refused_beside_its_field(
    as_customer: Client, customer: User, neighbour: User
) -> None:
    csr = csr_of(["shop.example.com"], RSA_KEY)
    assert apply(signed_in(neighbour), bought(neighbour), key_type="pasted", csr=csr).status_code == 302
    certificate = bought(customer)
    answer = apply(as_customer, certificate, key_type="pasted", csr=csr)
    assert answer.status_code == 422
    assert "serves another certificate" in words(answer)
    assert kept(answer)["csr"] == csr
    assert state_of(certificate) == S.PENDING_APPLICATION
    assert not Application.objects.filter(certificate=certificate).exists()


def test_own_key_may_be_handed_in_again(customer: User, authority: FakeAuthority) -> None:
    certificate = failed(customer, authority)
    advance()
    request = make_request(KeyType.EC_P256, ["shop.example.com"])
    Application.objects.filter(certificate=certificate).update(key_fingerprint=request.fingerprint)
    submit_application(certificate.pk, Submission(("shop.example.com",), KeyType.PASTED, request), by=customer, at=NOON)
    other = bought(customer)
    with pytest.raises(KeyInUse):
        submit_application(other.pk, Submission(("shop.example.com",), KeyType.PASTED, request), by=customer, at=NOON)


# --- At once -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_two_submissions_at_once_one_wins() -> None:
    customer = factories.UserFactory()
    certificate = bought(customer)

    def submit() -> object:
        return submit_application(certificate.pk, SUBMISSION, by=customer, at=NOON)

    outcomes = together(submit, submit)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Enrollment", "WrongState"]
    assert certificate.enrollments.count() == certificate.domains.count() == 1
