"""Next, Back and Submit: what is stored, what is kept, and what is said when something is in the way."""

from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client

from certificates.models import Certificate, Share
from core.clock import SERVICE_ZONE
from core.models import User
from core.text import drop_invisible
from payments.models import Payment
from refunds.exceptions import MayNotRequest
from refunds.models import RefundRequest
from refunds.pages.request_form import Form, new_form, read, sign
from refunds.pages.views import AT_ODDS
from refunds.states import Reason, RequestState
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import announces, chosen, field, is_step, opened, panel_of, press, words
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR, anew, everything

MIDNIGHT = datetime(2026, 11, 29, tzinfo=SERVICE_ZONE)


@pytest.fixture
def certificate(customer: User) -> Certificate:
    return cases.in_review(customer)


def only_request() -> RefundRequest:
    return RefundRequest.objects.get()


def step_2(client: Client, certificate: Certificate, **typed: Any) -> HttpResponse:
    page = press(client, certificate, opened(client, certificate), "next", **typed)
    assert page.status_code == 200
    assert is_step(page, 2)
    return page


def submit(client: Client, certificate: Certificate, page: HttpResponse) -> HttpResponse:
    """Press Submit on step 2, with nothing but what the page carries."""
    carried = {name: field(page, name) for name in ("form", "reason", "reason_text")}
    return client.post(panel_of(certificate), {**carried, "step": "submit"})


# --- Step 2 ------------------------------------------------------------------------------------


def test_next_shows_the_summary_and_stores_nothing(certificate: Certificate, as_customer: Client) -> None:
    page = opened(as_customer, certificate)
    before = everything()
    text = words(press(as_customer, certificate, page, "next", reason=Reason.STUCK))
    assert "Step 2 of 2" in text
    assert str(Reason.STUCK.label) in text
    assert "You get back CNY 1,200.00 To Account balance" in text
    assert everything() == before


def test_the_summary_says_what_happens_to_the_certificate_meanwhile(
    certificate: Certificate, as_customer: Client
) -> None:
    text = words(step_2(as_customer, certificate))
    assert "The certificate is on hold until the request has ended" in text
    assert "you can cancel it with Cancel Refund" in text
    assert "If the request is rejected, you'll see the reason and can go on using the certificate." in text
    assert "application is closed" not in text


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (factories.certificate, "A refund without a review can't be cancelled."),
        (factories.revoked, "If the request is rejected, you'll see the reason, and the certificate stays revoked."),
        (cases.at_authority, "Should the authority issue the certificate first, the request lapses"),
        (
            lambda account: factories.certificate(account, state="pending_verification", submitted_at=NOON - HOUR),
            "The running application is closed; what you entered is kept as a draft.",
        ),
    ],
)
def test_the_summary_says_what_this_certificate_is_in_for(
    customer: User, as_customer: Client, build: cases.Build, sentence: str
) -> None:
    assert sentence in words(step_2(as_customer, build(customer)))


def test_what_was_written_is_shown_as_text(certificate: Certificate, as_customer: Client) -> None:
    written = "We merged <b>two</b> shops,\r\nso one is enough."
    page = step_2(as_customer, certificate, reason=Reason.OTHER, reason_text=written)
    assert "We merged &lt;b&gt;two&lt;/b&gt; shops,<br>so one is enough." in page.content.decode()
    assert field(page, "reason_text") == written.replace("\r\n", "\n")


# --- Back --------------------------------------------------------------------------------------


def test_back_keeps_what_was_typed(certificate: Certificate, as_customer: Client) -> None:
    page = step_2(as_customer, certificate, reason=Reason.OTHER, reason_text="  not needed\nany more ")
    carried = {name: field(page, name) for name in ("form", "reason", "reason_text")}
    back = as_customer.post(panel_of(certificate), {**carried, "step": "back"})
    assert back.status_code == 200
    assert is_step(back, 1)
    assert chosen(back) == Reason.OTHER
    assert field(back, "reason_text").strip() == "not needed\nany more"


def test_back_keeps_a_text_beside_another_reason(certificate: Certificate, as_customer: Client) -> None:
    page = step_2(as_customer, certificate, reason=Reason.NO_NEED, reason_text="half a sentence")
    carried = {name: field(page, name) for name in ("form", "reason", "reason_text")}
    back = as_customer.post(panel_of(certificate), {**carried, "step": "back"})
    assert (chosen(back), field(back, "reason_text")) == (Reason.NO_NEED, "half a sentence")


def test_back_complains_of_nothing(certificate: Certificate, as_customer: Client) -> None:
    back = press(as_customer, certificate, opened(as_customer, certificate), "back", reason="")
    assert back.status_code == 200
    assert "Choose a reason." not in words(back)


# --- Submit ------------------------------------------------------------------------------------


def test_submit_stores_the_request_and_shows_its_receipt(certificate: Certificate, as_customer: Client) -> None:
    page = step_2(as_customer, certificate, reason=Reason.OTHER, reason_text="  We merged two shops. ")
    answer = submit(as_customer, certificate, page)
    request = only_request()
    assert (request.reason, request.reason_text) == (Reason.OTHER, "We merged two shops.")
    assert request.state == RequestState.UNDER_REVIEW
    assert answer.status_code == 302
    assert answer["Location"] == f"/refunds/{request.reference}/?done=requested"
    text = words(as_customer.get(answer["Location"]))
    assert f"Your refund is requested under the reference {request.reference} ." in text
    assert "by 2026-12-14 at the latest" in text


def test_a_text_beside_another_reason_is_not_stored(certificate: Certificate, as_customer: Client) -> None:
    page = step_2(as_customer, certificate, reason=Reason.NO_NEED, reason_text="x" * 2000)
    submit(as_customer, certificate, page)
    assert (only_request().reason, only_request().reason_text) == (Reason.NO_NEED, "")


def test_a_thousand_characters_fit_whatever_a_lines_end_is_sent_as(
    certificate: Certificate, as_customer: Client
) -> None:
    written = "é" * 499 + "\r\n" + "字" * 500
    submit(as_customer, certificate, step_2(as_customer, certificate, reason=Reason.OTHER, reason_text=written))
    assert only_request().reason_text == "é" * 499 + "\n" + "字" * 500


def test_the_drawer_is_told_that_lists_have_changed(certificate: Certificate, htmx: Client) -> None:
    answer = submit(htmx, certificate, step_2(htmx, certificate))
    receipt = htmx.get(answer["Location"])
    assert announces(receipt)
    assert "<html" not in receipt.content.decode()


def test_a_submission_may_come_from_step_1_alone(certificate: Certificate, as_customer: Client) -> None:
    """Terms and reason are the same there, so nothing unseen is agreed to."""
    answer = press(as_customer, certificate, opened(as_customer, certificate), "submit")
    assert answer["Location"].endswith("?done=requested")


def test_a_form_without_csrf_token_is_refused(certificate: Certificate, customer: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(customer)
    page = opened(strict, certificate)
    before = everything()
    assert press(strict, certificate, page, "submit").status_code == 403
    assert everything() == before


def test_nobody_submits_without_signing_in(certificate: Certificate, as_customer: Client) -> None:
    page = opened(as_customer, certificate)
    assert press(Client(), certificate, page, "submit").status_code == 302
    assert not RefundRequest.objects.exists()


def test_nobody_submits_for_somebody_else(certificate: Certificate, as_customer: Client, neighbour: User) -> None:
    page = opened(as_customer, certificate)
    assert press(signed_in(neighbour), certificate, page, "submit").status_code == 404
    assert not RefundRequest.objects.exists()


# --- Bad input ---------------------------------------------------------------------------------

TOO_LONG = "x" * 1001
BAD = {
    "nothing": {"reason": "", "reason_text": ""},
    "nothing but a text": {"reason": "", "reason_text": "I changed my mind"},
    "unknown reason": {"reason": "because", "reason_text": "I changed my mind"},
    "reason in capitals": {"reason": "OTHER", "reason_text": "I changed my mind"},
    "reason of another table": {"reason": "under_review", "reason_text": ""},
    "reason as a number": {"reason": "4", "reason_text": ""},
    "reason with a quote": {"reason": "no_need' --", "reason_text": "text"},
    "reason as markup": {"reason": "<script>alert(1)</script>", "reason_text": "text"},
    "reason far too long": {"reason": "r" * 5000, "reason_text": "text"},
    "reason with NUL": {"reason": "no_need\x00", "reason_text": "text"},
    "no text": {"reason": "other", "reason_text": ""},
    "only spaces": {"reason": "other", "reason_text": "   "},
    "only lines": {"reason": "other", "reason_text": "\r\n\r\n"},
    "only wide spaces": {"reason": "other", "reason_text": "\u3000\u00a0\u2003"},
    "one character too many": {"reason": "other", "reason_text": TOO_LONG},
    "one wide character too many": {"reason": "other", "reason_text": "字" * 1001},
    "one beyond the first plane too many": {"reason": "other", "reason_text": "🙂" * 1001},
    "far too long": {"reason": "other", "reason_text": "y" * 100_000},
    "nothing that can be seen": {"reason": "other", "reason_text": "\x00\u202e\u200b"},
    "too long with markup": {"reason": "other", "reason_text": "</textarea><script>alert(1)</script>" + TOO_LONG},
}


@pytest.mark.parametrize("step", ["next", "submit"])
@pytest.mark.parametrize("typed", BAD.values(), ids=BAD)
def test_bad_input_is_told_stored_nowhere_and_kept(
    certificate: Certificate, as_customer: Client, typed: dict[str, str], step: str
) -> None:
    page = opened(as_customer, certificate)
    before = everything()
    answer = press(as_customer, certificate, page, step, **typed)
    assert answer.status_code == 422
    assert is_step(answer, 1)
    assert "Nothing was submitted; what you entered is kept." in words(answer)
    assert chosen(answer) == (typed["reason"] if typed["reason"] in Reason.values else "")
    # All that can be seen of it, and of more than anybody types the beginning.
    assert field(answer, "reason_text") == drop_invisible(typed["reason_text"], keep_lines=True)[: 64 * 1024]
    assert "<script>alert" not in answer.content.decode()
    assert everything() == before


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"reason": ""}, "Choose a reason."),
        ({"reason": "because"}, "Choose one of the reasons listed."),
        ({"reason": "other", "reason_text": " "}, "Say in a few words why you want the refund."),
        (
            {"reason": "other", "reason_text": "x" * 1204},
            "The text has 1204 characters; at most 1000 fit. Shorten it by 204.",
        ),
    ],
)
def test_each_mistake_has_its_sentence_beside_the_field_and_above(
    certificate: Certificate, as_customer: Client, typed: dict[str, str], sentence: str
) -> None:
    answer = press(as_customer, certificate, opened(as_customer, certificate), "next", **typed)
    assert words(answer).count(sentence) == 2


def test_a_mended_form_is_the_same_form(certificate: Certificate, as_customer: Client) -> None:
    page = opened(as_customer, certificate)
    mended = press(as_customer, certificate, page, "next", reason="")
    keys = [form.key for form in (form_in(page, certificate), form_in(mended, certificate))]
    assert keys[0] == keys[1]


def form_in(page: HttpResponse, certificate: Certificate) -> Form:
    form = read(field(page, "form"), certificate)
    assert form is not None
    return form


# --- Forms that are not ours -------------------------------------------------------------------


def foreign_forms(certificate: Certificate, neighbour: User) -> dict[str, str]:
    summary = form_in(opened(signed_in(certificate.account), certificate), certificate).summary
    other = cases.in_review(certificate.account)
    own = sign(new_form(certificate, summary))
    return {
        "none": "",
        "nonsense": "nonsense",
        "altered": own[:-1] + ("A" if own[-1] != "A" else "B"),
        "of another certificate": sign(new_form(other, summary)),
        "of another account": sign(new_form(cases.in_review(neighbour), summary)),
        "with NUL": "a\x00b",
    }


@pytest.mark.parametrize("step", ["next", "submit"])
@pytest.mark.parametrize(
    "kind", ["none", "nonsense", "altered", "of another certificate", "of another account", "with NUL"]
)
def test_a_form_that_is_not_ours_is_to_be_looked_at_again(
    certificate: Certificate, as_customer: Client, neighbour: User, kind: str, step: str
) -> None:
    form = foreign_forms(certificate, neighbour)[kind]
    before = everything()
    typed = {"form": form, "reason": Reason.OTHER, "reason_text": "We merged two shops."}
    answer = as_customer.post(panel_of(certificate), {**typed, "step": step})
    assert answer.status_code == 409
    assert is_step(answer, 2)
    assert "Please look again. Nothing was submitted." in words(answer)
    assert field(answer, "reason_text") == "We merged two shops."
    assert everything() == before
    assert submit(as_customer, certificate, answer)["Location"].endswith("?done=requested")


def test_an_unknown_button_goes_no_further_than_step_2(certificate: Certificate, as_customer: Client) -> None:
    before = everything()
    answer = press(as_customer, certificate, opened(as_customer, certificate), "approve")
    assert is_step(answer, 2)
    assert everything() == before


# --- Terms that change while the form is open --------------------------------------------------


@pytest.mark.parametrize("step", ["next", "submit"])
def test_midnight_changes_the_terms_and_the_customer_must_submit_again(customer: User, step: str) -> None:
    wanted = factories.certificate(customer, bought=5 * DAY)
    with time_machine.travel(MIDNIGHT - timedelta(seconds=1), tick=False) as clock:
        clock.move_to(datetime(2026, 11, 23, 23, 59, 59, tzinfo=SERVICE_ZONE))
        client = signed_in(customer)
        page = step_2(client, wanted, reason=Reason.OTHER, reason_text="We merged two shops.")
        before = everything()
        clock.shift(1)
        carried = {name: field(page, name) for name in ("form", "reason", "reason_text")}
        answer = client.post(panel_of(wanted), {**carried, "step": step})
        assert answer.status_code == 409
        assert is_step(answer, 2)
        text = words(answer)
        assert "The terms have changed since you saw them. Nothing was submitted." in text
        assert "Refund rule Not issued, paid at once → is now Not issued, with review" in text
        assert "Review not needed → is now by our staff" in text
        assert field(answer, "reason_text") == "We merged two shops."
        assert everything() == before
        assert submit(client, wanted, answer)["Location"].endswith("?done=requested")
    assert only_request().state == RequestState.UNDER_REVIEW


def test_the_old_form_after_a_change_is_shown_the_receipt_of_the_new_one(customer: User) -> None:
    wanted = factories.certificate(customer, bought=5 * DAY)
    with time_machine.travel(datetime(2026, 11, 23, 23, 59, 59, tzinfo=SERVICE_ZONE), tick=False) as clock:
        client = signed_in(customer)
        old = step_2(client, wanted)
        clock.shift(1)
        first = submit(client, wanted, submit(client, wanted, old))
        assert submit(client, wanted, old)["Location"] == first["Location"]


def test_changed_amounts_and_channels_are_told_in_words(certificate: Certificate, as_customer: Client) -> None:
    page = step_2(as_customer, certificate)
    payment = Payment.objects.create(
        account=certificate.account, channel="bank", amount=30_000, currency="CNY", reference="b-1", paid_at=NOON
    )
    Share.objects.create(certificate=certificate, payment=payment, amount=30_000)
    Certificate.objects.filter(pk=certificate.pk).update(paid_part=150_000, voucher_part=10_000)
    answer = submit(as_customer, certificate, page)
    text = words(answer)
    assert answer.status_code == 409
    assert "Paid CNY 1,200.00 → is now CNY 1,500.00" in text
    assert "Voucher (not refunded) CNY 0.00 → is now CNY 100.00" in text
    assert "You get back CNY 1,200.00 → is now CNY 1,500.00" in text
    assert (
        "To Account balance: CNY 1,200.00 → is now Account balance: CNY 1,200.00, Online bank account: CNY 300.00"
        in text
    )
    assert not RefundRequest.objects.exists()


def test_a_new_warning_is_a_change(customer: User) -> None:
    wanted = factories.certificate(customer, bought=342 * DAY)
    with time_machine.travel(NOON, tick=False) as clock:
        client = signed_in(customer)
        page = step_2(client, wanted)
        clock.shift(3 * DAY)
        answer = submit(client, wanted, page)
    assert answer.status_code == 409
    assert "Warnings none → is now The review may not finish before the certificate expires." in words(answer)


def test_a_change_met_on_step_1_is_told_there_too(customer: User) -> None:
    wanted = factories.certificate(customer, bought=5 * DAY)
    with time_machine.travel(NOON, tick=False) as clock:
        client = signed_in(customer)
        page = opened(client, wanted)
        clock.shift(DAY)
        answer = press(client, wanted, page, "next", reason="")
    assert answer.status_code == 422
    assert "The terms have changed since you saw them." in words(answer)


def test_a_day_that_passes_without_other_terms_changes_nothing(customer: User) -> None:
    wanted = cases.in_review(customer)
    with time_machine.travel(NOON, tick=False) as clock:
        client = signed_in(customer)
        page = step_2(client, wanted)
        clock.shift(DAY)
        assert submit(client, wanted, page)["Location"].endswith("?done=requested")
    assert str(only_request().review_due) == "2026-12-15"


@pytest.mark.parametrize("step", ["next", "back", "submit"])
def test_a_refund_no_longer_possible_says_why_and_loses_no_word(
    certificate: Certificate, as_customer: Client, step: str
) -> None:
    page = opened(as_customer, certificate)
    Certificate.objects.filter(pk=certificate.pk).update(
        state="validating_application", submitted_at=NOON - HOUR, validated_at=NOON - HOUR
    )
    before = everything()
    answer = press(as_customer, certificate, page, step, reason=Reason.OTHER, reason_text="We merged two shops.")
    text = words(answer)
    assert answer.status_code == 409
    assert "A refund is no longer possible as you saw it. Nothing was submitted." in text
    assert "Refund rule Not issued, with review → is now Approved, not issued yet" in text
    assert "approved on 2026-11-23" in text
    assert "What you wrote We merged two shops." in text
    assert everything() == before


# --- Twice -------------------------------------------------------------------------------------


def test_a_double_click_shows_the_first_receipt(certificate: Certificate, as_customer: Client) -> None:
    page = step_2(as_customer, certificate)
    first, second = submit(as_customer, certificate, page), submit(as_customer, certificate, page)
    assert first["Location"] == second["Location"]
    assert RefundRequest.objects.count() == 1


@pytest.mark.parametrize("step", ["next", "back"])
def test_the_back_button_and_next_lead_to_the_receipt(certificate: Certificate, as_customer: Client, step: str) -> None:
    page = opened(as_customer, certificate)
    receipt = submit(as_customer, certificate, press(as_customer, certificate, page, "next"))["Location"]
    before = everything()
    assert press(as_customer, certificate, page, step)["Location"] == receipt
    assert press(as_customer, certificate, page, step, reason="")["Location"] == receipt
    assert everything() == before


@pytest.mark.parametrize("step", ["submit", "next", "back"])
def test_the_same_form_with_another_reason_says_that_the_first_was_kept(
    certificate: Certificate, as_customer: Client, step: str
) -> None:
    page = step_2(as_customer, certificate, reason=Reason.STUCK)
    receipt = submit(as_customer, certificate, page)["Location"].partition("?")[0]
    before = everything()
    typed = {"form": field(page, "form"), "reason": Reason.OTHER, "reason_text": "We have moved.\r\nTwice."}
    answer = as_customer.post(panel_of(certificate), {**typed, "step": step})
    assert answer.status_code == 409
    text = words(answer)
    assert f"This form was already submitted as {only_request()}" in text
    assert "The certificate application process is stuck" in text
    assert "That first reason was kept, and what you sent now wasn&#x27;t stored." in text.replace("'", "&#x27;")
    assert "We have moved." in text
    assert f'href="{receipt}"' in answer.content.decode()
    assert everything() == before


def test_the_same_form_with_other_words_says_that_the_first_were_kept(
    certificate: Certificate, as_customer: Client
) -> None:
    page = step_2(as_customer, certificate, reason=Reason.OTHER, reason_text=" We have moved.\r\nTwice. ")
    first = submit(as_customer, certificate, page)
    assert submit(as_customer, certificate, page)["Location"] == first["Location"]
    typed = {"form": field(page, "form"), "reason": Reason.OTHER, "reason_text": "We have not moved."}
    assert as_customer.post(panel_of(certificate), {**typed, "step": "submit"}).status_code == 409
    assert only_request().reason_text == "We have moved.\nTwice."


def test_a_form_whose_request_was_cancelled_shows_it_and_makes_no_other(
    certificate: Certificate, as_customer: Client
) -> None:
    page = step_2(as_customer, certificate)
    receipt = submit(as_customer, certificate, page)["Location"]
    as_customer.post(f"{panel_of(certificate)}cancel/", {"reference": only_request().reference})
    again = submit(as_customer, certificate, page)
    assert again["Location"] == receipt
    text = words(as_customer.get(receipt))
    assert "Cancelled by you" in text
    assert "Your refund is requested" not in text
    assert RefundRequest.objects.count() == 1


@pytest.mark.parametrize("step", ["next", "submit"])
def test_a_second_tab_is_told_of_the_request_and_loses_no_word(
    certificate: Certificate, as_customer: Client, step: str
) -> None:
    first, second = step_2(as_customer, certificate), opened(as_customer, certificate)
    submit(as_customer, certificate, first)
    before = everything()
    answer = press(as_customer, certificate, second, step, reason=Reason.OTHER, reason_text="We merged two shops.")
    text = words(answer)
    assert answer.status_code == 409
    assert "You had already requested a refund of this certificate. Nothing was submitted a second time." in text
    assert f"Reference {only_request().reference}" in text
    assert "What you wrote We merged two shops." in text
    assert everything() == before


def test_a_second_tab_after_the_money_is_back_is_told_so(customer: User, as_customer: Client) -> None:
    certificate = factories.certificate(customer)
    second = step_2(as_customer, certificate)
    factories.submit(certificate)
    factories.pay_out()
    answer = submit(as_customer, certificate, second)
    assert answer.status_code == 409
    assert "What you paid for this certificate has been paid back. Nothing was submitted a second time." in words(
        answer
    )


def test_a_certificate_deleted_in_another_tab_answers_as_an_unknown_one(
    certificate: Certificate, as_customer: Client
) -> None:
    page = step_2(as_customer, certificate)
    Certificate.objects.filter(pk=certificate.pk).update(deleted_at=NOON)
    assert submit(as_customer, certificate, page).status_code == 404


def test_a_certificate_deleted_at_that_very_moment_answers_as_an_unknown_one(
    certificate: Certificate, as_customer: Client
) -> None:
    page = step_2(as_customer, certificate)
    with patch("refunds.services.request_refund", side_effect=MayNotRequest):
        assert submit(as_customer, certificate, page).status_code == 404


@pytest.mark.parametrize("error", AT_ODDS)
def test_records_at_odds_are_called_our_fault(
    certificate: Certificate, as_customer: Client, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    page = step_2(as_customer, certificate, reason=Reason.OTHER, reason_text="We merged two shops.")
    with patch("refunds.services.request_refund", side_effect=error.__new__(error, "records")):
        answer = submit(as_customer, certificate, page)
    assert answer.status_code == 409
    assert "That's our fault, and nothing was changed." in words(answer)
    assert "What you wrote We merged two shops." in words(answer)
    assert "could not be requested" in caplog.text


def test_shares_that_do_not_sum_up_are_called_our_fault(customer: User, as_customer: Client) -> None:
    certificate = factories.certificate(customer)
    Certificate.objects.filter(pk=certificate.pk).update(paid_part=999)
    page = step_2(as_customer, certificate)
    before = everything()
    answer = submit(as_customer, certificate, page)
    assert answer.status_code == 409
    assert "our records of the certificate and its payments don't match" in words(answer)
    assert everything() == before
    assert anew(certificate).hold == ""
