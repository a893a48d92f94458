"""Refund pressed: what the panel says before anybody has typed a thing."""

from datetime import datetime, timedelta

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from certificates.models import Certificate, Revocation
from certificates.states import CertificateState, Level, RevocationReason, RevocationState
from core.clock import SERVICE_ZONE
from core.models import User
from refunds.models import RefundRequest
from refunds.rules.policies import Rule
from refunds.states import Reason
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import chosen, field, is_step, opened, panel_of, words
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, everything


def reads(client: Client, certificate: Certificate) -> str:
    return words(opened(client, certificate))


# --- Who ---------------------------------------------------------------------------------------


def test_nobody_sees_it_without_signing_in(customer: User) -> None:
    address = panel_of(factories.certificate(customer))
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={address}"


def test_a_drawer_sends_the_whole_page_to_sign_in(customer: User) -> None:
    answer = Client(headers={"HX-Request": "true"}).get(panel_of(factories.certificate(customer)))
    assert answer["HX-Redirect"] == "/accounts/login/"


def test_somebody_elses_certificate_answers_as_an_unknown_one(as_customer: Client, neighbour: User) -> None:
    theirs = as_customer.get(panel_of(factories.certificate(neighbour)))
    unknown = as_customer.get("/certificates/cas-sg-000000000000/refund/")
    assert (theirs.status_code, unknown.status_code) == (404, 404)
    assert theirs.content == unknown.content


def test_a_deleted_certificate_answers_as_an_unknown_one(customer: User, as_customer: Client) -> None:
    deleted = factories.certificate(customer, deleted_at=factories.NOON - HOUR)
    assert as_customer.get(panel_of(deleted)).status_code == 404


def test_staff_see_no_customers_panel(customer: User, reviewer: User) -> None:
    assert signed_in(reviewer).get(panel_of(factories.certificate(customer))).status_code == 404


# --- In which form -----------------------------------------------------------------------------


def test_a_browser_gets_a_page_and_htmx_the_same_panel_alone(customer: User, as_customer: Client, htmx: Client) -> None:
    certificate = factories.certificate(customer)
    page, fragment = opened(as_customer, certificate), opened(htmx, certificate)
    assert "<!doctype html>" in page.content.decode()
    assert "<html" not in fragment.content.decode()
    assert is_step(page, 1)
    assert is_step(fragment, 1)
    assert "HX-Request" in fragment["Vary"]


def test_the_back_button_gets_a_page_though_htmx_asks(customer: User, htmx: Client) -> None:
    answer = htmx.get(panel_of(factories.certificate(customer)), headers={"HX-History-Restore-Request": "true"})
    assert "<!doctype html>" in answer.content.decode()


def test_a_drawer_leaves_the_address_of_the_page_alone(customer: User, htmx: Client) -> None:
    assert opened(htmx, factories.certificate(customer))["HX-Push-Url"] == "false"


def test_other_methods_are_refused(customer: User, as_customer: Client) -> None:
    address = panel_of(factories.certificate(customer))
    assert [as_customer.put(address).status_code, as_customer.delete(address).status_code] == [405, 405]


# --- Step 1 ------------------------------------------------------------------------------------


def test_the_certificate_is_named_with_its_type_and_state(customer: User, as_customer: Client) -> None:
    certificate = cases.at_authority(customer, domains=("pay.example.com",))
    text = reads(as_customer, certificate)
    for part in ("pay.example.com", certificate.instance_id, "DigiCert DV Single Domain", "Validating Application"):
        assert part in text


def test_the_money_lines_say_paid_voucher_back_and_to(customer: User, as_customer: Client) -> None:
    certificate = factories.certificate(customer, payments={"balance": 120_050}, voucher=30_000)
    assert "Paid CNY 1,200.50 Voucher (not refunded) CNY 300.00 You get back CNY 1,200.50 To Account balance" in reads(
        as_customer, certificate
    )


def test_each_channel_is_named_with_its_part(customer: User, as_customer: Client) -> None:
    certificate = factories.certificate(customer, payments={"balance": 70_000, "bank": 30_000, "card": 20_000})
    text = reads(as_customer, certificate)
    assert "You get back CNY 1,200.00 To: Account balance CNY 700.00 To: Online bank account CNY 300.00" in text
    assert "To: Card CNY 200.00" in text


def test_amounts_have_the_digits_of_their_currency(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, factories.certificate(customer, payments={"balance": 15_000}, currency="JPY"))
    assert "You get back JPY 15,000 To Account balance" in text


def test_without_review_the_money_comes_at_once(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, factories.certificate(customer))
    assert "Review No review is needed." in text
    assert "At once: CNY 1,200.00 goes to your account balance." in text
    assert "Without a review until 2026-11-27" in text
    assert "Last day to request the refund 2027-11-07" in text


def test_what_staff_transfer_is_not_said_to_come_at_once(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, factories.certificate(customer, payments={"alipay": 120_000}))
    assert "Ordered at once: CNY 1,200.00 goes to your Alipay account: our staff transfer it" in text


def test_with_an_application_at_the_authority_its_answer_comes_first(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, cases.at_authority(customer))
    assert "Once the certificate authority has confirmed that the application is closed: CNY 1,200.00 goes" in text


def test_a_review_says_how_long_and_by_which_day(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, cases.in_review(customer))
    assert "Review Our staff decide within 15 business days, usually within 5." in text
    assert "Decided by, if you submit today 2026-12-14" in text
    assert "Once it is approved: CNY 1,200.00 goes to your account balance." in text
    assert "Last day to request the refund 2027-11-02" in text
    assert "provisional" not in text


def test_a_due_day_counted_over_unknown_holidays_says_so(customer: User, as_customer: Client) -> None:
    with time_machine.travel(datetime(2026, 12, 21, 12, tzinfo=SERVICE_ZONE), tick=False):
        text = reads(signed_in(customer), cases.in_review(customer))
    assert "today 2027-01-12 (provisional: it depends on holidays that haven't been announced yet)" in text


def test_a_review_that_may_last_past_the_end_is_warned_of(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, factories.certificate(customer, bought=346 * DAY))
    assert "The review may not finish before the certificate expires." in text


def test_the_reasons_are_those_of_the_service_and_none_is_chosen(customer: User, as_customer: Client) -> None:
    page = opened(as_customer, factories.certificate(customer))
    for reason in Reason:
        assert str(reason.label) in words(page)
    assert chosen(page) == ""
    assert field(page, "reason_text") == ""


def test_it_is_asked_in_the_same_number_of_queries_whatever_there_is(
    customer: User, as_customer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    plain = factories.certificate(customer)
    many = factories.certificate(
        customer, bought=6 * DAY, payments={"balance": 1, "bank": 2, "card": 3, "alipay": 4}, domains=("a.com", "b.com")
    )
    for certificate in (plain, many):
        # Session, account, certificate, its newest request, its shares.
        with django_assert_num_queries(5):
            opened(as_customer, certificate)


def test_looking_stores_nothing(customer: User, as_customer: Client) -> None:
    for build in {**cases.SUPPORTED, **cases.REFUSED}.values():
        certificate = build(customer)
        before = everything()
        opened(as_customer, certificate)
        assert everything() == before


# --- Revoke first ------------------------------------------------------------------------------


def test_revoke_first_explains_the_order_the_days_and_the_loss(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, factories.issued(customer, ago=3 * DAY))
    steps = ("revoke it by 2026-12-13 to get CNY 1,200.00 back", "Request the revocation.")
    assert all(part in text for part in steps)
    assert text.index("Request the revocation.") < text.index("The certificate authority revokes it.")
    assert text.index("The certificate authority revokes it.") < text.index("Request the refund.")
    assert "Last safe day to request the revocation 2026-12-13" in text
    assert "Revocation must be completed by 2026-12-18" in text
    assert "Amount lost if the revocation is completed later CNY 1,200.00" in text
    assert "has passed" not in text
    assert "Request the refund. Press Refund here again by 2027-11-20." in text


def test_revoke_first_past_the_safe_day_warns(customer: User, as_customer: Client) -> None:
    text = reads(as_customer, factories.issued(customer, ago=25 * DAY))
    assert "The safe day, 2026-11-19, has passed." in text
    assert "so the revocation may be completed too late for a refund." in text


def test_revoke_first_over_unknown_holidays_says_so(customer: User, as_customer: Client) -> None:
    with time_machine.travel(datetime(2026, 12, 21, 12, tzinfo=SERVICE_ZONE), tick=False) as _:
        certificate = factories.issued(customer, at=datetime(2026, 12, 21, 12, tzinfo=SERVICE_ZONE))
        assert "provisional" in reads(signed_in(customer), certificate)


@pytest.mark.parametrize(("level", "is_told"), [(Level.DV, False), (Level.OV, True), (Level.EV, True)])
def test_a_confirmation_by_mail_is_told_of_where_there_is_one(
    customer: User, as_customer: Client, level: Level, is_told: bool
) -> None:
    product = factories.ProductFactory(level=level)
    assert ("by email first" in reads(as_customer, factories.issued(customer, product=product))) is is_told


def test_revoke_first_leads_to_revoke(customer: User, as_customer: Client) -> None:
    certificate = factories.issued(customer)
    page = opened(as_customer, certificate)
    assert f'href="/certificates/{certificate.instance_id}/revoke/"' in page.content.decode()
    assert "then press Revoke below." in words(page)
    assert "where you bought" not in words(page)


@pytest.mark.parametrize("build", [factories.issued, cases.revoking])
def test_what_must_be_revoked_first_has_no_form(customer: User, as_customer: Client, build: cases.Build) -> None:
    page = opened(as_customer, build(customer))
    assert "<textarea" not in page.content.decode()


# --- Revocation pending ------------------------------------------------------------------------


def test_a_pending_revocation_says_what_is_awaited_since_when_and_until_when(
    customer: User, as_customer: Client
) -> None:
    text = reads(as_customer, cases.revoking(customer))
    assert "The certificate authority hasn't completed the revocation yet." in text
    assert "Revocation requested on 2026-11-23 11:00" in text
    assert "Usually completed by 2026-11-30" in text
    assert "Revocation must be completed by 2026-12-18" in text
    assert "Amount lost if the revocation is completed later CNY 1,200.00" in text
    assert "may be completed too late" not in text
    assert "What you can do Wait until the revocation is completed, then request the refund by 2027-11-20." in text


def test_a_pending_revocation_leads_to_where_it_stands(customer: User, as_customer: Client) -> None:
    certificate = cases.revoking(customer)
    page = opened(as_customer, certificate)
    assert f'href="/certificates/{certificate.instance_id}/revocation/"' in page.content.decode()


def test_a_revocation_that_waits_for_its_contact_says_so(customer: User, as_customer: Client) -> None:
    certificate = cases.revoking(customer, product=factories.ProductFactory(level=Level.OV))
    Revocation.objects.create(
        certificate=certificate,
        state=RevocationState.REQUESTED,
        reason=RevocationReason.SUPERSEDED,
        requested_by=customer,
        requested_at=factories.NOON,
        contact_email="it@shop.example.com",
    )
    text = reads(as_customer, certificate)
    assert "it@shop.example.com has to confirm the revocation by email first" in text
    assert "has not completed" not in text


def test_a_pending_revocation_that_may_come_late_is_warned_of(customer: User, as_customer: Client) -> None:
    certificate = factories.issued(
        customer, ago=27 * DAY, state=CertificateState.REVOKING, revocation_requested_at=factories.NOON - HOUR
    )
    text = reads(as_customer, certificate)
    assert "the revocation may be completed too late for a refund." in text
    assert "Revocation must be completed by 2026-11-24" in text


# --- Not refundable ----------------------------------------------------------------------------

REFUSALS = {
    Rule.UPLOADED: [
        "so nothing was paid for it here. Not met: Bought in this console uploaded on 2026-11-22",
        "What you can do Ask for a refund where you bought it.",
    ],
    Rule.FREE_DV: ["free DV certificates cost nothing"],
    Rule.NOTHING_PAID: ["Not met: Paid for, not only with a voucher CNY 0.00 paid"],
    Rule.EXPIRED: ["Expired on 2026-11-22 12:00"],
    Rule.REVOKED_TOO_LATE: [
        "Not met: Revoked within 28 days of the issue 39 days after the issue",
        "Issued on 2026-10-14 12:00 Revocation completed on 2026-11-22 12:00 "
        "Revocation had to be completed by 2026-11-11",
    ],
    Rule.ISSUED_TOO_LONG: [
        "Not met: Issued no more than 28 days ago issued 29 days ago",
        "Issued on 2026-10-25 12:00 Revocation had to be completed by 2026-11-22",
        "What you can do You can keep using the certificate until it expires on 2027-10-25.",
    ],
    Rule.VALIDATED_UNISSUED: [
        "approved on 2026-11-23 Last day to request the refund",
    ],
    Rule.UNISSUED_TOO_LATE: [
        "Not met: Bought no more than 5 days ago, or at least 15 days left before it expires "
        "bought 355 days ago, 10 days left",
        "Last day to request a refund was 2026-11-18 Service period ends on 2026-12-03 12:00",
    ],
}


@pytest.mark.parametrize("rule", REFUSALS)
def test_what_is_not_refundable_says_why_with_its_days(customer: User, as_customer: Client, rule: Rule) -> None:
    text = reads(as_customer, cases.REFUSED[rule](customer))
    assert "Not refundable" in text
    for said in REFUSALS[rule]:
        assert said in text
    assert "Refund Reasons" not in text


def test_every_rule_that_refuses_is_told_of() -> None:
    told = {*REFUSALS, Rule.REVOKE_FIRST, Rule.REVOCATION_PENDING}
    assert told == set(cases.REFUSED)


def test_the_days_are_the_services_whatever_zone_the_reader_is_in(customer: User) -> None:
    customer.time_zone = "America/Los_Angeles"
    customer.save()
    text = reads(signed_in(customer), factories.issued(customer, ago=29 * DAY))
    assert "Issued on 2026-10-24 21:00" in text
    assert "had to be completed by 2026-11-22" in text
    assert "Times are shown in America/Los_Angeles." in text


# --- A request that stands ---------------------------------------------------------------------


def test_an_open_request_is_shown_instead_of_a_form(customer: User, as_customer: Client) -> None:
    certificate = cases.in_review(customer)
    request = factories.submit(certificate)
    text = reads(as_customer, certificate)
    assert "A refund of this certificate is under way." in text
    assert f"Reference {request.reference}" in text
    assert "Under review" in text
    assert "Refund Reasons" not in text


def test_below_an_open_request_panel_and_details_still_explain_the_rules(customer: User, as_customer: Client) -> None:
    certificate = cases.in_review(customer)
    factories.submit(certificate)
    for text in (reads(as_customer, certificate), words(as_customer.get(f"/certificates/{certificate.instance_id}/"))):
        rules = "The refund rules alone say: You can get CNY 1,200.00 back after a review. Request it by 2027-11-02."
        assert text.index("A refund of this certificate is under way.") < text.index(rules)
        assert "Met: At least 15 days left before it expires" in text
        assert "What you can do" not in text


def test_a_refunded_certificate_says_so_with_its_request(customer: User, as_customer: Client) -> None:
    certificate = factories.certificate(customer)
    request = factories.submit(certificate)
    factories.pay_out()
    text = reads(as_customer, certificate)
    assert "What you paid for this certificate has been paid back." in text
    assert f"Reference {request.reference}" in text
    assert "CNY 1,200.00 was paid back on 2026-11-23 12:00." in text


def test_an_earlier_request_is_linked_where_nothing_more_can_be_asked(customer: User, as_customer: Client) -> None:
    certificate = factories.certificate(customer, bought=345 * DAY)
    request = factories.submit(certificate)
    as_customer.post(f"{panel_of(certificate)}cancel/", {"reference": request.reference})
    later = datetime(2026, 12, 5, tzinfo=SERVICE_ZONE)
    with time_machine.travel(later, tick=False):
        text = reads(signed_in(customer), certificate)
    assert f"Earlier request {request.reference}: Cancelled by you" in text


def test_a_cancelled_request_leaves_room_for_another(customer: User, as_customer: Client) -> None:
    certificate = cases.in_review(customer)
    request = factories.submit(certificate)
    as_customer.post(f"{panel_of(certificate)}cancel/", {"reference": request.reference})
    assert is_step(opened(as_customer, certificate), 1)
    assert RefundRequest.objects.count() == 1


def test_what_is_stored_by_a_clock_ahead_counts_as_happened(customer: User, as_customer: Client) -> None:
    """The service judges at the newest event; the panel must not promise what the service would refuse."""
    certificate = factories.certificate(
        customer,
        state=CertificateState.VALIDATING_APPLICATION,
        submitted_at=factories.NOON,
        validated_at=factories.NOON + timedelta(seconds=2),
    )
    assert "Not refundable" in reads(as_customer, certificate)
