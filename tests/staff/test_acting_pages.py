"""The same tests for every page on which staff act: who may, what a crafted request does, what a late one does."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from core import audit
from core.models import User
from tests.conftest import signed_in
from tests.staff.pages import PAGES, Page, address, everything

pytestmark = pytest.mark.django_db

every_page = pytest.mark.parametrize("acting", PAGES, ids=str)
every_page_with_text = pytest.mark.parametrize("acting", [each for each in PAGES if each.text], ids=str)


@pytest.fixture
def actor(acting: Page, request: pytest.FixtureRequest) -> User:
    return request.getfixturevalue(acting.actor)


@pytest.fixture
def thing(acting: Page, customer: User, approver: User, actor: User) -> Any:
    return acting.make(customer, approver)


def refused(client: Client, acting: Page, thing: Any, status: int = 403) -> None:
    """Neither asking nor acting is answered, and nothing changes."""
    before = everything()
    assert client.get(acting.address(thing)).status_code == status
    assert client.post(acting.address(thing), acting.typed).status_code == status
    assert everything() == before


@every_page
def test_stranger_is_sent_to_sign_in(acting: Page, thing: Any) -> None:
    before = everything()
    for answer in (Client().get(acting.address(thing)), Client().post(acting.address(thing), acting.typed)):
        assert answer.status_code == 302
        assert answer["Location"].startswith((reverse("admin:login"), reverse("account_login")))
    assert everything() == before


@every_page
def test_customer_may_not_act(acting: Page, thing: Any, customer: User) -> None:
    before = everything()
    answer = signed_in(customer).post(acting.address(thing), acting.typed, follow=True)
    assert answer.status_code == 403
    assert everything() == before


@every_page
def test_clerk_may_not_act(acting: Page, thing: Any, clerk: User) -> None:
    refused(signed_in(clerk), acting, thing)


@every_page
def test_staff_with_another_permission_may_not_act(acting: Page, thing: Any, request: pytest.FixtureRequest) -> None:
    refused(signed_in(request.getfixturevalue(acting.outsider)), acting, thing)


@every_page
def test_staff_who_may_not_see_the_row_may_not_act(acting: Page, thing: Any, actor: User) -> None:
    views = actor.user_permissions.filter(codename__startswith="view_")
    actor.user_permissions.remove(*views)
    refused(signed_in(actor), acting, thing)


@every_page
def test_nobody_acts_on_their_own_account(acting: Page, actor: User, approver: User) -> None:
    refused(signed_in(actor), acting, acting.make(actor, approver))


@every_page
def test_superuser_does_not_act_on_their_own_account(acting: Page, superuser: User, approver: User) -> None:
    refused(signed_in(superuser), acting, acting.make(superuser, approver))


@every_page
def test_superuser_acts_on_the_account_of_another(
    acting: Page, superuser: User, customer: User, approver: User
) -> None:
    thing, client = acting.make(customer, approver), signed_in(superuser)
    before = everything()
    assert client.post(acting.address(thing), acting.form(client, thing)).status_code == 302
    assert everything() != before


@every_page
def test_looking_changes_nothing(acting: Page, thing: Any, actor: User) -> None:
    before, client = everything(), signed_in(actor)
    assert client.get(acting.address(thing)).status_code == 200
    assert client.head(acting.address(thing)).status_code == 200
    assert everything() == before


@every_page
def test_whoever_may_acts_once(acting: Page, thing: Any, actor: User) -> None:
    client = signed_in(actor)
    form = acting.form(client, thing)
    answer = client.post(acting.address(thing), form)
    assert (answer.status_code, answer["Location"]) == (302, address(thing))
    [entry] = audit.history(thing).filter(act=acting.act)
    assert entry.by == actor
    once = everything()
    told = client.post(acting.address(thing), form, follow=True)
    assert told.status_code == 200
    assert "warning" in [message.level_tag for message in told.context["messages"]]
    assert everything() == once


@every_page
def test_act_stands_in_both_histories(acting: Page, thing: Any, actor: User) -> None:
    client = signed_in(actor)
    client.post(acting.address(thing), acting.form(client, thing))
    [entry] = audit.history(thing).filter(act=acting.act)
    assert entry.detail
    [logged] = LogEntry.objects.filter(user=actor, object_id=str(thing.pk), change_message__startswith=acting.act)
    assert logged.content_type.model_class() is type(thing)


@every_page
def test_page_that_shows_another_state_of_things_does_nothing(acting: Page, thing: Any, actor: User) -> None:
    before, client = everything(), signed_in(actor)
    answer = client.post(acting.address(thing), {**acting.typed, "seen": "something else"}, follow=True)
    assert answer.status_code == 200
    assert "warning" in [message.level_tag for message in answer.context["messages"]]
    assert everything() == before


@every_page
def test_unknown_row_is_not_found(acting: Page, thing: Any, actor: User) -> None:
    client, known = signed_in(actor), f"/{thing.pk}/"
    for number in ("987654", "9" * 30):
        unknown = acting.address(thing).replace(known, f"/{number}/")
        assert client.get(unknown).status_code == 404
        assert client.post(unknown, acting.typed).status_code == 404


@every_page
def test_form_of_another_site_is_refused(acting: Page, thing: Any, actor: User) -> None:
    before, client = everything(), Client(enforce_csrf_checks=True)
    client.force_login(actor)
    assert client.post(acting.address(thing), acting.form(client, thing)).status_code == 403
    assert everything() == before


@every_page
def test_other_methods_are_refused(acting: Page, thing: Any, actor: User) -> None:
    before = everything()
    assert signed_in(actor).put(acting.address(thing), acting.typed).status_code == 405
    assert everything() == before


@every_page_with_text
@pytest.mark.parametrize("blank", ["", "   \n "])
def test_missing_text_is_said_beside_its_field(acting: Page, thing: Any, actor: User, blank: str) -> None:
    client = signed_in(actor)
    form, before = acting.form(client, thing), everything()
    answer = client.post(acting.address(thing), {**form, acting.text: blank})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {acting.text}
    assert f'id="id_{acting.text}_error"' in answer.content.decode()
    # The page goes on from what it showed.
    assert f'value="{form["seen"]}"' in answer.content.decode()
    assert everything() == before


@every_page_with_text
def test_too_long_text_is_kept_and_said(acting: Page, thing: Any, actor: User) -> None:
    client = signed_in(actor)
    form, before = acting.form(client, thing), everything()
    answer = client.post(acting.address(thing), {**form, acting.text: "long " * 20_000})
    assert answer.status_code == 422
    assert "long long long" in answer.content.decode()
    assert everything() == before


@every_page_with_text
def test_what_is_typed_is_shown_as_text(acting: Page, thing: Any, actor: User) -> None:
    """Long, so that it comes back with an error; shown, so that it must be escaped."""
    client = signed_in(actor)
    answer = client.post(acting.address(thing), {**acting.form(client, thing), acting.text: "<script>" * 20_000})
    assert "<script>" * 2 not in answer.content.decode()


@every_page
def test_buttons_show_for_whoever_may_alone(acting: Page, thing: Any, actor: User, clerk: User) -> None:
    assert acting.address(thing) in signed_in(actor).get(address(thing)).content.decode()
    assert acting.address(thing) not in signed_in(clerk).get(address(thing)).content.decode()


@every_page
def test_page_that_can_do_nothing_any_more_leads_back_and_says_why(acting: Page, thing: Any, actor: User) -> None:
    client = signed_in(actor)
    client.post(acting.address(thing), acting.form(client, thing))
    answer = client.get(acting.address(thing), follow=True)
    assert answer.redirect_chain == [(address(thing), 302)]
    assert [str(message) for message in answer.context["messages"]][-1]
    assert acting.address(thing) not in answer.content.decode()
