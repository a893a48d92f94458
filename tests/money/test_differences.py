"""The desk of differences: the list, a page, and the three acts on it, by the services and in the browser's words."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate
from core import audit
from core.models import User
from payments.admin.difference_acts import Dismiss, Keep
from payments.admin.differences import ADVICE, STATE_MARKS, DifferenceAdmin
from payments.channels import ChannelRefund, Outcome
from payments.exceptions import NotYours
from payments.models import Difference, Payout
from payments.services import (
    DifferenceMoved,
    NoteMissing,
    confirm_difference,
    dismiss_difference,
    keep_difference,
    reconcile,
    record_paid,
    take_in,
)
from payments.states import DifferenceKind, DifferenceState
from refunds.services import approve_refund
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR

pytestmark = pytest.mark.django_db

LATER = NOON + HOUR
CARD = {"card": 120_000}
LIST = "admin:payments_difference_changelist"


@pytest.fixture(autouse=True)
def at_noon(frozen: Any) -> None:
    """The desk reads the clock: it stands at NOON."""


@pytest.fixture
def resolver(db: None) -> User:
    return factories.staff("resolver", "payments.record_payout", "payments.view_difference", "payments.view_payment")


@pytest.fixture
def looker(db: None) -> User:
    return factories.staff("looker", "payments.view_difference")


@pytest.fixture
def as_resolver(resolver: User) -> Client:
    return signed_in(resolver)


def found_for(certificate: Certificate, *, amount: int = 120_000, reference: str = "re_1") -> Difference:
    payment = certificate.shares.get().payment
    refund = ChannelRefund(reference, Outcome.PAID, amount, "CNY", NOON, payment_reference=payment.reference)
    with transaction.atomic():
        difference = take_in("card", refund, at=NOON)
    assert difference is not None
    return Difference.objects.get(pk=difference.pk)


def found(account: User, **fields: Any) -> Difference:
    return found_for(cases.in_review(account, payments=CARD), **fields)


def missing_there(account: User, approver: User, recorder: User) -> Difference:
    """A payout that a reviewer approved, that was recorded as paid, and that the channel's list lacks."""
    request = factories.submit(cases.in_review(account, payments={"alipay": 120_000}))
    approve_refund(request.pk, seen=factories.seen(request), by=approver, at=NOON)
    record_paid(Payout.objects.get(reference=request.reference).pk, "2026-1", by=recorder, at=NOON)
    [difference] = reconcile("alipay", NOON.date(), [], at=NOON).open
    return difference


def closed(certificate: Certificate) -> bool:
    return Certificate.objects.get(pk=certificate.pk).refund_found_at is not None


def state_of(difference: Difference) -> str:
    return Difference.objects.get(pk=difference.pk).state


def address(difference: Difference, act: str = "change") -> str:
    return reverse(f"admin:payments_difference_{act}", args=[difference.pk])


def filled(client: Client, difference: Difference, act: str, **typed: str) -> dict[str, str]:
    """What a person sends who has opened the act's page and filled it in."""
    return {"seen": client.get(address(difference, act)).context["form"].initial["seen"], **typed}


# --- Kept and explained ------------------------------------------------------------------------


def test_kept_as_unmatched_it_leaves_the_waiting_list_and_goes_on_closing(customer: User, resolver: User) -> None:
    certificate = cases.in_review(customer, payments=CARD)
    kept = keep_difference(found_for(certificate).pk, by=resolver, at=LATER, note="A gift of the shop.")
    assert (kept.state, kept.resolved_by, kept.resolved_at, kept.note) == (
        "kept",
        resolver,
        LATER,
        "A gift of the shop.",
    )
    assert closed(certificate)
    assert Difference.objects.closing_refunds().get() == kept
    entry = audit.history(kept).last()
    assert entry is not None
    assert (entry.act, entry.by, entry.note) == ("kept", resolver, "A gift of the shop.")


def test_kept_for_one_certificate_it_closes_that_one_alone(customer: User, resolver: User) -> None:
    first, second = factories.bought_together(customer, [60_000, 60_000], CARD)
    difference = found_for(first, amount=60_000)
    assert [closed(first), closed(second)] == [True, True]
    keep_difference(difference.pk, assigned_to=second.instance_id, by=resolver, at=LATER)
    assert [closed(first), closed(second)] == [False, True]


@pytest.mark.parametrize("assigned_to", ["cas-sg-000000000000", "RF-20261123-AAAAAAAA"])
def test_it_is_not_kept_for_what_its_payment_did_not_pay(customer: User, resolver: User, assigned_to: str) -> None:
    difference = found(customer)
    with pytest.raises(DifferenceMoved):
        keep_difference(difference.pk, assigned_to=assigned_to, by=resolver, at=LATER)
    assert state_of(difference) == "open"


def test_only_what_the_channel_made_by_itself_is_kept(
    customer: User, resolver: User, reviewer: User, cashier: User
) -> None:
    difference = missing_there(customer, reviewer, cashier)
    with pytest.raises(DifferenceMoved):
        keep_difference(difference.pk, by=resolver, at=LATER)
    with pytest.raises(DifferenceMoved):
        confirm_difference(difference.pk, "", by=resolver, at=LATER)


def test_kept_once_it_is_not_kept_again(customer: User, resolver: User) -> None:
    difference = found(customer)
    keep_difference(difference.pk, by=resolver, at=LATER)
    with pytest.raises(DifferenceMoved):
        keep_difference(difference.pk, by=resolver, at=LATER)


@pytest.mark.parametrize("is_kept_first", [False, True])
def test_explained_it_frees_the_certificate_and_stays_explained(
    customer: User, resolver: User, is_kept_first: bool
) -> None:
    certificate = cases.in_review(customer, payments=CARD)
    difference = found_for(certificate)
    if is_kept_first:
        keep_difference(difference.pk, by=resolver, at=LATER)
    explained = dismiss_difference(difference.pk, "  A test of the key. ", by=resolver, at=LATER)
    assert (explained.state, explained.note, explained.resolved_by) == ("dismissed", "A test of the key.", resolver)
    assert not closed(certificate)
    assert found_for(certificate).state == "dismissed"
    assert not closed(certificate)


@pytest.mark.parametrize("note", ["", "  \n"])
def test_it_is_not_explained_without_a_word(customer: User, resolver: User, note: str) -> None:
    difference = found(customer)
    with pytest.raises(NoteMissing):
        dismiss_difference(difference.pk, note, by=resolver, at=LATER)
    assert state_of(difference) == "open"


def test_explained_or_healed_it_is_over(customer: User, resolver: User) -> None:
    difference = found(customer)
    dismiss_difference(difference.pk, "a test", by=resolver, at=LATER)
    with pytest.raises(DifferenceMoved):
        dismiss_difference(difference.pk, "a test", by=resolver, at=LATER)


# --- Who ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("superuser", [False, True])
def test_receiver_decides_on_nothing(superuser: bool) -> None:
    receiver = factories.cashier("receiver")
    User.objects.filter(pk=receiver.pk).update(is_superuser=superuser)
    nobody_decides(found(receiver), User.objects.get(pk=receiver.pk))


@pytest.mark.parametrize("superuser", [False, True])
def test_approver_of_the_payout_decides_on_nothing(
    customer: User, reviewer: User, cashier: User, resolver: User, superuser: bool
) -> None:
    difference = missing_there(customer, reviewer, cashier)
    factories.Permission.objects.get(codename="record_payout").user_set.add(reviewer)
    User.objects.filter(pk=reviewer.pk).update(is_superuser=superuser)
    nobody_decides(difference, User.objects.get(pk=reviewer.pk))
    assert dismiss_difference(difference.pk, "booked later", by=resolver, at=LATER).state == "dismissed"


def test_whoever_lacks_the_right_or_has_left_decides_on_nothing(customer: User, reviewer: User, resolver: User) -> None:
    difference = found(customer)
    nobody_decides(difference, reviewer)
    resolver.is_active = False
    nobody_decides(difference, resolver)


def nobody_decides(difference: Difference, by: User) -> None:
    before = cases.everything()
    with pytest.raises(NotYours):
        dismiss_difference(difference.pk, "a test", by=by, at=LATER)
    with pytest.raises(NotYours):
        keep_difference(difference.pk, by=by, at=LATER)
    with pytest.raises(NotYours):
        confirm_difference(difference.pk, "RF-1", by=by, at=LATER)
    assert cases.everything() == before
    assert state_of(difference) == "open"


# --- The list and a page -----------------------------------------------------------------------


def test_every_state_and_kind_has_its_mark_and_its_words() -> None:
    assert set(STATE_MARKS) == set(DifferenceState)
    assert set(ADVICE) == set(DifferenceKind)
    assert set(DifferenceAdmin.act_words) >= {"found", "found_again", "has_changed", "healed"}


def test_list_opens_on_what_nobody_has_decided_on(customer: User, resolver: User, as_resolver: Client) -> None:
    waiting, kept, over = (found(customer, reference=f"re_{number}") for number in range(3))
    keep_difference(kept.pk, by=resolver, at=LATER)
    dismiss_difference(over.pk, "a test", by=resolver, at=LATER)
    assert shown(as_resolver) == [waiting]
    assert shown(as_resolver, state="unmatched") == [kept, waiting]
    assert shown(as_resolver, state="dismissed") == [over]
    assert shown(as_resolver, state="all") == [over, kept, waiting]
    assert shown(as_resolver, state="all", kind="missing_there") == []
    assert shown(as_resolver, state="all", channel="alipay") == []
    assert shown(as_resolver, q=str(kept)) == [kept]
    assert shown(as_resolver, q="re_2") == [over]
    assert shown(as_resolver, q=str(waiting.payment)) == [waiting]


def shown(client: Client, **query: str) -> list[Difference]:
    return list(client.get(reverse(LIST), query).context["cl"].result_list)


def test_list_and_page_name_the_day_and_its_zone(customer: User, as_resolver: Client) -> None:
    difference = found(customer)
    for page in (as_resolver.get(reverse(LIST)), as_resolver.get(address(difference))):
        words = page.content.decode()
        assert "2026-11-23" in words
        assert '<span class="muted">UTC</span>' in words


def test_start_page_counts_what_waits(customer: User, as_resolver: Client) -> None:
    found(customer)
    page = as_resolver.get(reverse("admin:index")).content.decode()
    assert "Differences to look at" in page
    [waiting] = DifferenceAdmin(Difference, None).waiting()  # type: ignore[arg-type]
    assert waiting.rows.count() == 1


def test_page_shows_both_sides_the_payment_and_what_it_may_belong_to(customer: User, as_resolver: Client) -> None:
    first, second = factories.bought_together(customer, [60_000, 60_000], CARD, bought=6 * DAY)
    request = factories.submit(first)
    difference = found_for(first, amount=60_000)
    page = as_resolver.get(address(difference))
    words = page.content.decode()
    assert [candidate.address for candidate in page.context["candidates"]] == [
        f"{reverse('admin:refunds_refundrequest_changelist')}?q={request.reference}",
        f"{reverse('admin:certificates_certificate_changelist')}?q={second.instance_id}",
    ]
    assert reverse("admin:payments_payment_change", args=[difference.payment_id]) in words
    assert "no other refund of what this payment paid for" in words
    assert [act["label"] for act in page.context["acts"]] == ["Confirm", "Keep as unmatched", "Explain"]


def test_page_offers_to_confirm_only_where_a_request_fits(customer: User, as_resolver: Client) -> None:
    difference = found(customer)
    acts = as_resolver.get(address(difference)).context["acts"]
    assert [act["label"] for act in acts] == ["Keep as unmatched", "Explain"]
    answer = as_resolver.get(address(difference, "confirm"), follow=True)
    [told] = answer.context["messages"]
    assert str(told).startswith("Nothing was done: no request under review")


def test_page_of_what_is_over_offers_nothing(customer: User, resolver: User, as_resolver: Client) -> None:
    difference = found(customer)
    dismiss_difference(difference.pk, "a test", by=resolver, at=LATER)
    page = as_resolver.get(address(difference))
    assert (page.context["acts"], page.context["candidates"], page.context["advice"]) == ([], [], "")
    assert "a test" in page.content.decode()


def test_page_tells_the_receiver_why_there_are_no_buttons(resolver: User, as_resolver: Client) -> None:
    page = as_resolver.get(address(found(resolver)))
    assert page.context["acts"] == []
    assert "somebody else decides on it" in page.content.decode()


# --- The acts' pages ---------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["confirm", "keep", "dismiss"])
def test_whoever_may_only_look_or_receives_it_gets_403(customer: User, looker: User, resolver: User, act: str) -> None:
    request = factories.submit(cases.in_review(customer, payments=CARD))
    theirs = found_for(request.certificate)
    own = found(resolver, reference="re_2")
    before = cases.everything()
    for user, difference in ((looker, theirs), (resolver, own)):
        assert signed_in(user).get(address(difference, act)).status_code == 403
        assert signed_in(user).post(address(difference, act), {"note": "a test"}).status_code == 403
    assert signed_in(factories.clerk()).get(address(theirs)).status_code == 403
    assert signed_in(customer).get(address(theirs, act)).status_code != 200
    assert cases.everything() == before


def test_cashier_confirms_by_the_page(customer: User, resolver: User, as_resolver: Client) -> None:
    request = factories.submit(cases.in_review(customer, payments=CARD))
    difference = found_for(request.certificate)
    form = filled(as_resolver, difference, "confirm", candidate=request.reference)
    page = as_resolver.get(address(difference, "confirm")).content.decode()
    assert f'<option value="{request.reference}">' in page
    answer = as_resolver.post(address(difference, "confirm"), form, follow=True)
    [told] = answer.context["messages"]
    assert str(told) == f"{request} is refunded: the channel had given the money back."
    assert state_of(difference) == "confirmed"
    assert [entry.act for entry in audit.history(difference)] == ["found", "confirmed"]
    assert LogEntry.objects.filter(user=resolver, object_repr=str(difference)).exists()
    once = cases.everything()
    late = as_resolver.post(address(difference, "confirm"), form, follow=True)
    [told] = late.context["messages"]
    assert "Confirmed as a request" in str(told)
    assert cases.everything() == once


def test_cashier_who_chooses_nothing_or_what_fits_no_more_confirms_nothing(customer: User, as_resolver: Client) -> None:
    request = factories.submit(cases.in_review(customer, payments=CARD))
    difference = found_for(request.certificate)
    form = filled(as_resolver, difference, "confirm", candidate="")
    empty = as_resolver.post(address(difference, "confirm"), form)
    assert (empty.status_code, set(empty.context["form"].errors)) == (422, {"candidate"})
    odd = as_resolver.post(address(difference, "confirm"), {**form, "candidate": "RF-1"}, follow=True)
    [told] = odd.context["messages"]
    assert "does not fit any more" in str(told)
    assert state_of(difference) == "open"


def test_cashier_keeps_it_for_the_certificate_they_choose(customer: User, as_resolver: Client) -> None:
    first, second = factories.bought_together(customer, [60_000, 60_000], CARD)
    difference = found_for(first, amount=60_000)
    page = as_resolver.get(address(difference, "keep")).content.decode()
    assert f'<option value="{first.instance_id}">' in page
    form = filled(as_resolver, difference, "keep", assigned_to=second.instance_id, note="")
    assert as_resolver.post(address(difference, "keep"), form).status_code == 302
    assert [closed(first), closed(second)] == [False, True]
    assert second.instance_id in as_resolver.get(address(difference)).content.decode()


def test_the_only_certificate_of_a_payment_is_chosen_beforehand(customer: User, as_resolver: Client) -> None:
    certificate = cases.in_review(customer, payments=CARD)
    page = as_resolver.get(address(found_for(certificate), "keep")).content.decode()
    assert f'<option value="{certificate.instance_id}" selected>' in page


def test_cashier_explains_it_in_words(customer: User, as_resolver: Client) -> None:
    difference = found(customer)
    form = filled(as_resolver, difference, "dismiss", note=" ")
    assert as_resolver.post(address(difference, "dismiss"), form).status_code == 422
    assert as_resolver.post(address(difference, "dismiss"), {**form, "note": "A test."}).status_code == 302
    assert (state_of(difference), Difference.objects.get(pk=difference.pk).note) == ("dismissed", "A test.")


@pytest.mark.parametrize("act", ["keep", "dismiss"])
def test_page_that_shows_another_state_does_nothing(
    customer: User, resolver: User, as_resolver: Client, act: str
) -> None:
    difference = found(customer)
    form = filled(as_resolver, difference, act, note="a test")
    keep_difference(difference.pk, by=resolver, at=NOON - timedelta(minutes=1))
    before = cases.everything()
    answer = as_resolver.post(address(difference, act), form, follow=True)
    assert "warning" in [message.level_tag for message in answer.context["messages"]]
    assert cases.everything() == before


@pytest.mark.parametrize("kind", [Keep, Dismiss])
def test_decision_loses_to_another_that_is_committed_before_it_has_its_lock(
    customer: User, resolver: User, as_resolver: Client, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    difference, do = found(customer), kind.do

    def do_late(self: Any, form: Any) -> Any:
        keep_difference(difference.pk, by=resolver, at=NOON, note="first")
        return do(self, form)

    form = filled(as_resolver, difference, kind.slug, note="late")
    monkeypatch.setattr(kind, "do", do_late)
    as_resolver.post(address(difference, kind.slug), form, follow=True)
    assert (state_of(difference), Difference.objects.get().note) == ("kept", "first")


def test_crafted_addresses_of_the_list_do_no_harm(as_resolver: Client) -> None:
    for query in ("state=x", "kind=%00", "channel=z", "q=DIFF-99999999999999999999", "q=DIFF-1", "state__regex=("):
        assert as_resolver.get(f"{reverse(LIST)}?{query}").status_code in {200, 302, 400}
