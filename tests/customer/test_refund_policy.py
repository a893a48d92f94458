"""The page that shows a customer the refund policies of their certificates, and the policy of what is bought."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import Client

from certificates.models import Order
from core.models import User
from refunds.rules.policies import POLICIES
from refunds.rules.printed import rows_of
from tests import factories
from tests.conftest import signed_in
from tests.customer.pages import opened, words

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
PAGE = "/refund-policy/"


def bought_under(account: User, policy: str, ago: timedelta) -> None:
    certificate = factories.certificate(account, bought=ago)
    Order.objects.filter(pk=certificate.order_id).update(policy=policy)


def shown(client: Client) -> list[str]:
    return [policy.name for policy, _rows, _at in client.get(PAGE).context["policies"]]


def test_policies_of_the_accounts_certificates_are_shown_the_newest_purchase_first(
    customer: User, neighbour: User, as_customer: Client
):
    bought_under(customer, "intl-2021", 30 * DAY)
    bought_under(customer, "cn-2021-07", 10 * DAY)
    bought_under(customer, "intl-2021", 20 * DAY)
    bought_under(neighbour, "intl-2026-03", DAY)
    assert shown(as_customer) == ["cn-2021-07", "intl-2021"]
    text = words(as_customer.get(PAGE))
    for name in ("cn-2021-07", "intl-2021"):
        for row in rows_of(POLICIES[name]):
            assert row.when in text
            assert row.result in text


def test_the_page_says_what_not_yet_means(customer: User, as_customer: Client):
    bought_under(customer, "intl-2021", DAY)
    assert "Not yet means that something has to happen first" in words(as_customer.get(PAGE))


def test_without_certificates_the_policy_of_new_purchases_is_shown(as_customer: Client, settings: Any):
    settings.REFUND_POLICY = "intl-2026-03"
    assert shown(as_customer) == ["intl-2026-03"]


def test_panel_details_and_navigation_lead_to_the_policy(customer: User, as_customer: Client):
    certificate = factories.certificate(customer)
    link = f'href="{PAGE}#intl-2021"'
    assert link in opened(as_customer, certificate).content.decode()
    assert link in as_customer.get(f"/certificates/{certificate.instance_id}/").content.decode()
    assert f'href="{PAGE}"' in as_customer.get("/").content.decode()


def test_strangers_sign_in_first(client: Client):
    assert client.get(PAGE).status_code == 302


def test_an_order_keeps_its_policy_when_the_setting_changes(customer: User, settings: Any):
    settings.REFUND_POLICY = "cn-2021-07"
    first = factories.certificate(customer)
    settings.REFUND_POLICY = "intl-2026-03"
    second = factories.certificate(customer, bought=timedelta(hours=1))
    orders = dict(Order.objects.values_list("pk", "policy"))
    assert [orders[first.order_id], orders[second.order_id]] == ["cn-2021-07", "intl-2026-03"]
    assert shown(signed_in(customer)) == ["intl-2026-03", "cn-2021-07"]


def test_an_unknown_policy_in_the_settings_is_told_before_anything_runs(settings: Any):
    settings.REFUND_POLICY = "intl-2020"
    with pytest.raises(SystemCheckError, match=r"REFUND_POLICY is 'intl-2020'. Set it to one of: intl-2021"):
        call_command("check")
