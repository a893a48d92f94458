"""Who acts in the machine, and upon which certificates. All is made once; each example starts from it."""

from dataclasses import dataclass
from datetime import timedelta

from certificates.models import Certificate
from core.models import User
from tests import factories
from tests.factories import NOON
from tests.refunds import cases
from tests.refunds.cases import DAY, HOUR


@dataclass(frozen=True)
class Cast:
    people: dict[str, int]
    certificates: list[int]

    def person(self, name: str) -> User:
        """Read anew, as every page does: permissions are not those of a moment ago."""
        return User.objects.get(pk=self.people[name])


def assemble() -> Cast:
    customer = factories.UserFactory(username="customer")
    both = factories.staff("both", "refunds.review_refund", "payments.record_payout", "payments.send_payout")
    people = [
        customer,
        factories.UserFactory(username="neighbour"),
        factories.reviewer(),
        factories.reviewer("second"),
        factories.cashier(),
        factories.clerk(),
        both,
        factories.UserFactory(username="admin", is_staff=True, is_superuser=True),
    ]
    certificates = [
        *_of_customer(customer),
        # Staff buy certificates too: what they may do for others they may not do for themselves.
        cases.in_review(both, payments={"alipay": 90_000}),
        factories.certificate(both, payments={"bank": 90_000}),
        factories.certificate(people[-1], payments={"bank": 90_000}),
    ]
    return Cast({person.username: person.pk for person in people}, [each.pk for each in certificates])


def _of_customer(customer: User) -> list[Certificate]:
    return [
        factories.certificate(customer, bought=4 * DAY),
        factories.certificate(customer, payments={"alipay": 30_000, "bank": 60_000}),
        cases.in_review(customer, payments={"card": 90_000}),
        factories.certificate(customer, bought=351 * DAY, payments={"alipay": 1, "card": 1}),
        factories.revoked(customer, payments={"balance": 70_000, "bank": 50_000}),
        factories.issued(customer, ago=27 * DAY, payments={"card": 1_000}),
        cases.at_authority(customer, payments={"balance": 60_000, "alipay": 60_000}),
        *factories.bought_together(customer, [1, 99_999], {"balance": 50_000, "alipay": 50_000}, bought=6 * DAY),
        *factories.bought_together(
            customer,
            [60_000, 40_000],
            {"bank": 50_000, "alipay": 50_000},
            bought=5 * DAY,
            state="validating_application",
            submitted_at=NOON - HOUR,
        ),
        factories.certificate(customer, payments={}, voucher=50_000),
    ]


# Over every boundary of the policy, and to either side of it.
STEPS = [
    timedelta(seconds=1),
    timedelta(hours=11, minutes=59, seconds=59),
    HOUR * 12,
    DAY,
    5 * DAY,
    28 * DAY,
    300 * DAY,
]
