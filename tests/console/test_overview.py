"""The Overview: what a customer sees, finds and is offered."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate, SearchTerm
from certificates.states import CertificateState, DomainType, Level
from console import overview
from console.overview import CARDS, STATUSES, Cursor, Filters, counts_of, page_of
from core.models import User
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON, ProductFactory

DAY = timedelta(days=1)

pytestmark = pytest.mark.usefixtures("frozen")


def names(user: User, filters: Filters | None = None, at: datetime = NOON) -> list[str]:
    return [row.name for row in page_of(user, filters or Filters(), at).rows]


def text_of(client: Client, query: str = "") -> str:
    return client.get(f"/{query}").content.decode()


def refresh(client: Client, query: str = "") -> tuple[int, str]:
    response = client.get(f"/{query}", headers={"HX-Request": "true"})
    return response.status_code, response.content.decode()


def since(client: Client) -> str:
    return f"?since={client.get('/').context['refresh_url'].partition('since=')[2]}"


# --- What a row offers -------------------------------------------------------------------------


def test_a_customer_reads_refund_with_amount_and_last_day(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer)
    page = text_of(as_customer)
    assert f'<a href="/certificates/{wanted.instance_id}/refund/">Refund</a>' in page
    assert "CNY 1,200.00 at once until 2026-11-27" in page


def test_a_customer_with_a_request_under_review_reads_cancel_refund(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer, bought=20 * DAY)
    request = factories.submit(wanted)
    page = text_of(as_customer)
    assert f"/certificates/{wanted.instance_id}/refund/cancel/" in page
    assert f'href="/refunds/{request.reference}/">Refund: Under review' in page


def test_a_customer_whose_money_is_ordered_reads_refund_under_way(as_customer: Client, customer: User) -> None:
    request = factories.submit(factories.certificate(customer, payments={"alipay": 5_000}))
    assert f'<a href="/refunds/{request.reference}/">Refund under way</a>' in text_of(as_customer)


def test_a_customer_may_open_why_a_certificate_is_not_refundable(as_customer: Client, customer: User) -> None:
    factories.issued(customer, ago=29 * DAY)
    page = text_of(as_customer)
    assert "<summary>Not refundable</summary><p>Not refundable: issued more than 28 days ago</p>" in page
    assert "/refund/" not in page


def test_the_refund_button_is_gone_on_day_29_and_shows_on_day_28(as_customer: Client, customer: User) -> None:
    shown = factories.issued(customer, ago=28 * DAY)
    gone = factories.issued(customer, ago=29 * DAY)
    page = text_of(as_customer)
    assert f"/certificates/{shown.instance_id}/refund/" in page
    assert f"/certificates/{gone.instance_id}/refund/" not in page


def test_a_row_says_by_when_to_revoke_first_to_be_safe(as_customer: Client, customer: User) -> None:
    factories.issued(customer, ago=3 * DAY)
    assert "Revoke by 2026-12-13 to get CNY 1,200.00 back" in text_of(as_customer)


def test_a_row_past_the_safe_day_says_that_it_may_be_too_late(as_customer: Client, customer: User) -> None:
    factories.issued(customer, ago=25 * DAY)
    assert "Revoke today: it may be too late for CNY 1,200.00 (must be completed by 2026-11-26)" in text_of(as_customer)


def test_a_row_shows_two_domains_and_how_many_more(as_customer: Client, customer: User) -> None:
    factories.certificate(customer, domains=tuple(f"host{n}.example.com" for n in range(5)))
    page = text_of(as_customer)
    assert "host1.example.com<br>" in page
    assert "host2.example.com" not in page
    assert "+3" in page


def test_a_row_says_why_validation_failed(as_customer: Client, customer: User) -> None:
    factories.certificate(customer, state=CertificateState.VALIDATION_FAILED, failure_cause="No <record> found.")
    assert "No &lt;record&gt; found." in text_of(as_customer)


def test_a_row_shows_its_end_in_the_readers_zone(customer: User) -> None:
    customer.time_zone = "America/New_York"
    customer.save()
    factories.certificate(customer, service_ends_at=NOON + 3 * DAY)
    page = text_of(signed_in(customer))
    assert "2026-11-25 23:00" in page
    assert "UTC-05:00" in page
    assert "in 3 days" in page


# --- Whose certificates ------------------------------------------------------------------------


def test_a_stranger_is_sent_to_sign_in(db: None) -> None:
    response = Client().get("/")
    assert response.status_code == 302
    assert response["Location"] == f"{reverse('account_login')}?next=/"


def test_a_stranger_never_gets_the_sign_in_page_into_a_fragment(db: None) -> None:
    response = Client().get("/", headers={"HX-Request": "true"})
    assert response["HX-Redirect"] == reverse("account_login")
    assert response.content == b""


def test_a_customer_does_not_see_a_neighbours_certificates(as_customer: Client, neighbour: User) -> None:
    factories.certificate(neighbour, domains=("neighbour.example.com",))
    assert "neighbour.example.com" not in text_of(as_customer)
    assert "You have no certificates yet." in text_of(as_customer)


def test_a_neighbours_details_answer_like_unknown_ones(as_customer: Client, neighbour: User) -> None:
    theirs = factories.certificate(neighbour)
    foreign = as_customer.get(f"/certificates/{theirs.instance_id}/")
    unknown = as_customer.get("/certificates/cas-sg-000000000000/")
    assert (foreign.status_code, foreign.content) == (404, unknown.content)


def test_a_deleted_certificate_is_hidden(as_customer: Client, customer: User) -> None:
    gone = factories.certificate(customer, deleted_at=NOON)
    assert gone.instance_id not in text_of(as_customer)
    assert as_customer.get(f"/certificates/{gone.instance_id}/").status_code == 404


# --- Filters, search and pages -----------------------------------------------------------------


@pytest.fixture
def one_of_each(customer: User) -> dict[str, Certificate]:
    """A certificate in every state that a person reads, by that state."""
    ov = ProductFactory(level=Level.OV, domain_type=DomainType.MULTI)
    held = factories.certificate(customer, bought=20 * DAY)
    factories.submit(held)
    made = {
        "pending_application": factories.certificate(customer),
        "pending_verification": factories.certificate(
            customer, state=CertificateState.PENDING_VERIFICATION, submitted_at=NOON - timedelta(hours=1)
        ),
        "validating_application": factories.certificate(
            customer, state=CertificateState.VALIDATING_APPLICATION, submitted_at=NOON - timedelta(hours=1), product=ov
        ),
        "validation_failed": factories.certificate(customer, state=CertificateState.VALIDATION_FAILED),
        "issued": factories.issued(customer),
        "pending_expiration": factories.issued(customer, ago=350 * DAY, not_after=NOON + 30 * DAY),
        "expired": factories.issued(customer, ago=366 * DAY, not_after=NOON),
        "revoking": factories.issued(
            customer, state=CertificateState.REVOKING, revocation_requested_at=NOON - DAY, product=ov
        ),
        "revoked": factories.revoked(customer),
    }
    return {**made, "under_refund": held}


@pytest.mark.parametrize("status", [status for status in STATUSES if status not in {"", "refunded", "validating"}])
def test_a_status_finds_just_its_certificates(
    as_customer: Client, one_of_each: dict[str, Certificate], status: str
) -> None:
    found = {row.instance_id for row in as_customer.get(f"/?status={status}").context["page"].rows}
    wanted = {one_of_each[status].instance_id}
    if status == "pending_application":  # the one under refund has not been applied for either
        wanted.add(one_of_each["under_refund"].instance_id)
    assert found == wanted


def test_validating_stands_for_both_halves_of_it(as_customer: Client, one_of_each: dict[str, Certificate]) -> None:
    found = {row.instance_id for row in as_customer.get("/?status=validating").context["page"].rows}
    assert found == {one_of_each[state].instance_id for state in ("pending_verification", "validating_application")}


def test_the_cards_count_what_their_links_show(as_customer: Client, one_of_each: dict[str, Certificate]) -> None:
    cards = as_customer.get("/").context["cards"]
    assert [card.status for card in cards] == list(CARDS)
    for card in cards:
        response = as_customer.get(f"/{card.address}")
        assert len(response.context["page"].rows) == int(card.number), card.label
        [chosen] = [other.status for other in response.context["cards"] if other.is_chosen]
        assert chosen == card.status


def test_the_cards_stop_counting(customer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "COUNT_LIMIT", 2)
    for _ in range(5):
        factories.certificate(customer)
    counts = counts_of(customer, NOON)
    assert counts[""] == 3
    assert overview.shown_count(counts[""]) == "2+"
    assert overview.shown_count(2) == "2"


def test_a_notice_counts_the_certificates_about_to_expire(as_customer: Client, customer: User) -> None:
    assert "within 30 days" not in text_of(as_customer)
    factories.issued(customer, ago=350 * DAY, not_after=NOON + 5 * DAY)
    assert "1 certificate expires within 30 days." in text_of(as_customer)


@pytest.mark.parametrize(
    "query",
    [
        "status=nonsense",
        "after=nonsense",
        "after=99999999999999999-1",
        "after=1-99999999999999999999",
        "after=-1--1",
        "before=%F0%9F%92%A9",
        "after=1%C2%B2-1",
        "status=issued%27--&q=%5C%25_",
        "since=nonsense",
        "status=&q=&after=&before=",
    ],
)
def test_unknown_values_fall_back(as_customer: Client, customer: User, query: str) -> None:
    factories.certificate(customer)
    assert as_customer.get(f"/?{query}").status_code == 200


def test_a_nul_in_the_query_counts_as_not_typed(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer)
    rows = as_customer.get(f"/?status=%00&q=%00{wanted.instance_id}%00").context["page"].rows
    assert [row.instance_id for row in rows] == [wanted.instance_id]
    assert as_customer.get("/refunds/%00/").status_code in {400, 404}


def test_a_search_finds_beginnings_of_labels_whatever_the_case(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer, domains=("shop.example.com",))
    SearchTerm.objects.create(certificate=wanted, account=customer, text="example.com")
    assert as_customer.get("/?q=EXAM").context["page"].rows[0].instance_id == wanted.instance_id
    assert as_customer.get(f"/?q={wanted.instance_id}").context["page"].rows[0].instance_id == wanted.instance_id
    nothing = as_customer.get("/?q=ample")
    assert nothing.context["page"].rows == []
    assert "No certificate matches." in nothing.content.decode()


def test_filters_and_search_live_in_the_address_of_each_page(as_customer: Client, customer: User) -> None:
    for n in range(25):
        wanted = factories.certificate(customer, bought=n * DAY, domains=(f"shop{n}.example.com",))
        SearchTerm.objects.create(certificate=wanted, account=customer, text=wanted.name)
    page = as_customer.get("/?q=shop&status=pending_application").context["page"]
    assert page.older_address.startswith("?status=pending_application&q=shop&after=")
    assert len(as_customer.get(f"/{page.older_address}").context["page"].rows) == 5


def test_pages_follow_one_another_without_gap_or_repetition(customer: User) -> None:
    for n in range(45):  # several of one moment, so that the id decides among them
        factories.certificate(customer, bought=(n // 4) * DAY, domains=(f"shop{n}.example.com",))
    forward, filters = [], Filters()
    pages = []
    while True:
        page = page_of(customer, filters, NOON)
        pages.append(page)
        forward += [row.instance_id for row in page.rows]
        if page.older is None:
            break
        filters = Filters(cursor=page.older)
    assert [len(page.rows) for page in pages] == [20, 20, 5]
    assert len(set(forward)) == 45
    back = page_of(customer, Filters(cursor=pages[2].newer), NOON)
    assert [row.instance_id for row in back.rows] == [row.instance_id for row in pages[1].rows]
    first = page_of(customer, Filters(cursor=back.newer), NOON)
    assert [row.instance_id for row in first.rows] == [row.instance_id for row in pages[0].rows]
    assert first.newer is None
    assert pages[0].newer is None


def test_a_place_behind_the_end_falls_back_to_the_beginning(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer)
    for query in ("after=1-1", "before=9999999999999999-1"):
        assert [row.instance_id for row in as_customer.get(f"/?{query}").context["page"].rows] == [wanted.instance_id]


def test_a_cursor_reads_what_it_writes() -> None:
    cursor = Cursor(NOON + timedelta(microseconds=7), 42)
    assert Filters.read({"after": str(cursor)}).cursor == cursor
    assert Filters.read({"before": str(cursor)}).cursor == Cursor(cursor.listed_at, 42, is_before=True)


def test_the_number_of_queries_does_not_grow(
    as_customer: Client, customer: User, django_assert_num_queries: object, django_assert_max_num_queries: object
) -> None:
    factories.certificate(customer)
    with django_assert_num_queries(6):  # type: ignore[operator]
        as_customer.get("/")
    for n in range(24):
        made = factories.certificate(customer, bought=20 * DAY, domains=(f"a{n}.example.com", f"b{n}.example.com"))
        factories.submit(made)
    with django_assert_num_queries(6):  # type: ignore[operator]
        assert len(as_customer.get("/").context["page"].rows) == 20


# --- Keeping itself true -----------------------------------------------------------------------


def test_a_poll_gets_nothing_while_nothing_changed(as_customer: Client, customer: User) -> None:
    factories.submit(factories.certificate(customer, bought=20 * DAY))
    status, body = refresh(as_customer, since(as_customer))
    assert (status, body) == (204, "")


def test_a_poll_gets_list_and_cards_once_something_changed(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer, bought=20 * DAY)
    known = since(as_customer)
    factories.submit(wanted)
    status, body = refresh(as_customer, known)
    assert status == 200
    assert "Cancel Refund" in body
    assert 'id="cards" aria-label="Certificates by status" hx-swap-oob="true"' in body
    assert "<html" not in body


def test_a_list_polls_only_while_something_in_it_is_in_motion(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer, bought=20 * DAY)
    assert 'hx-trigger="every 60s, ' in text_of(as_customer)
    factories.submit(wanted)
    assert 'hx-trigger="every 15s, refundChanged from:body, certificatesChanged from:body"' in text_of(as_customer)


def test_a_list_polls_quickly_while_money_moves(as_customer: Client, customer: User) -> None:
    factories.submit(factories.certificate(customer))
    assert 'hx-trigger="every 2s, refundChanged from:body, certificatesChanged from:body"' in text_of(as_customer)


def test_a_list_waiting_for_an_authority_polls(as_customer: Client, customer: User) -> None:
    factories.certificate(customer, state=CertificateState.PENDING_VERIFICATION, submitted_at=NOON - DAY)
    assert 'hx-trigger="every 15s,' in text_of(as_customer)


def test_the_back_button_gets_a_whole_page(as_customer: Client) -> None:
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in as_customer.get("/", headers=headers).content.decode()


def test_caches_are_told_that_a_fragment_is_another_answer(as_customer: Client) -> None:
    assert "HX-Request" in as_customer.get("/")["Vary"]


# --- Details -----------------------------------------------------------------------------------


def test_details_show_every_date(as_customer: Client, customer: User) -> None:
    wanted = factories.revoked(customer)
    page = as_customer.get(f"/certificates/{wanted.instance_id}/").content.decode()
    for moment in ("2026-11-17", "2026-11-18 12:00", "2026-11-18 11:00", "2026-11-20 12:00", "2026-11-21 12:00"):
        assert moment in page
    assert "Revoked within 28 days of the issue" in page
    assert "<html" in page


def test_details_are_a_fragment_for_htmx(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer)
    page = as_customer.get(f"/certificates/{wanted.instance_id}/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in page
    assert "Last day to request the refund" in page


def test_details_warn_of_a_late_revocation(as_customer: Client, customer: User) -> None:
    wanted = factories.issued(customer, ago=27 * DAY)
    page = as_customer.get(f"/certificates/{wanted.instance_id}/").content.decode()
    assert "may take up to 5 business days to revoke" in page


def test_a_refunded_certificate_says_that_the_money_is_back(as_customer: Client, customer: User) -> None:
    wanted = factories.certificate(customer)
    factories.submit(wanted)
    factories.pay_out()
    assert "What you paid for this certificate has been paid back." in text_of(as_customer)
    page = as_customer.get(f"/certificates/{wanted.instance_id}/").content.decode()
    assert "What you paid for this certificate has been paid back." in page


# --- What else a row offers ----------------------------------------------------------------------


def actions_in(client: Client, certificate: Certificate) -> tuple[list[str], list[str]]:
    """The actions in sight and those under More."""
    [row] = [row for row in client.get("/").context["page"].rows if row.instance_id == certificate.instance_id]
    return [link.label for link in row.first], [link.label for link in row.more]


@pytest.mark.parametrize(
    ("state", "in_sight", "more"),
    [
        (CertificateState.PENDING_APPLICATION, ["Apply for Certificate"], []),
        (CertificateState.PENDING_VERIFICATION, ["Verify"], ["Cancel Application"]),
        (CertificateState.VALIDATING_APPLICATION, ["Cancel Application"], []),
        (CertificateState.VALIDATION_FAILED, ["Apply for Certificate"], []),
    ],
)
def test_a_customer_may_do_what_the_state_of_the_application_allows(
    as_customer: Client, customer: User, state: str, in_sight: list[str], more: list[str]
) -> None:
    certificate = factories.certificate(customer, state=state, submitted_at=NOON)
    assert actions_in(as_customer, certificate) == (in_sight, more)


def test_a_customer_may_do_what_an_issued_certificate_allows(as_customer: Client, customer: User) -> None:
    fresh = factories.issued(customer)
    near = factories.issued(customer, ago=355 * DAY, bought=355 * DAY)
    gone = factories.issued(customer, ago=366 * DAY, bought=366 * DAY)
    assert actions_in(as_customer, fresh) == (["Download"], ["Revoke"])
    assert actions_in(as_customer, near) == (["Renewal Purchase"], ["Download", "Revoke"])
    assert actions_in(as_customer, gone) == (["Download"], ["Delete"])


def test_a_customer_may_delete_what_is_revoked_and_only_under_more(as_customer: Client, customer: User) -> None:
    assert actions_in(as_customer, factories.revoked(customer)) == ([], ["Delete"])


def test_a_customer_may_withdraw_a_revocation(as_customer: Client, customer: User) -> None:
    revoking = factories.issued(customer, state=CertificateState.REVOKING, revocation_requested_at=NOON)
    assert actions_in(as_customer, revoking) == (["Withdraw Request"], [])


def test_a_customer_may_do_nothing_else_while_a_refund_is_under_way(as_customer: Client, customer: User) -> None:
    certificate = factories.certificate(customer, bought=20 * DAY)
    factories.submit(certificate)
    assert actions_in(as_customer, certificate) == ([], [])


def test_a_shorter_certificate_shows_the_end_of_the_service_apart_and_is_not_renewed(
    as_customer: Client, customer: User
) -> None:
    product = ProductFactory(brand="Brand of ACME", authority="acme")
    short = factories.issued(customer, ago=70 * DAY, bought=70 * DAY, not_after=NOON + 20 * DAY, product=product)
    page = text_of(as_customer)
    assert "Service ends 2027-09-14 12:00" in page
    assert "2026-12-13 12:00" in page
    assert actions_in(as_customer, short)[0] == ["Download"]


def test_a_renewal_stands_below_the_certificate_that_it_renews(as_customer: Client, customer: User) -> None:
    old = factories.issued(customer, ago=355 * DAY, bought=355 * DAY, domains=("old.example.com",))
    factories.certificate(customer, bought=2 * DAY, domains=("newer.example.com",))
    listed_at = old.listed_at - timedelta(microseconds=1)
    factories.certificate(customer, domains=("old.example.com",), renewal_of=old, listed_at=listed_at)
    assert names(customer) == ["newer.example.com", "old.example.com", "old.example.com"]
    assert actions_in(as_customer, old) == (["Download"], ["Revoke"])
    assert "Renewal of the certificate above" in text_of(as_customer)


def test_a_name_beyond_ascii_is_shown_in_both_forms(as_customer: Client, customer: User) -> None:
    factories.certificate(customer, domains=("xn--bcher-kva.example.com",))
    assert text_of(as_customer).count("bücher.example.com (xn--bcher-kva.example.com)") >= 2
