"""The accounts of the demo and what each may do."""

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from django.db.models import Q

from core.models import User

PASSWORD = "refund-demo"  # noqa: S105 - printed at every start of the demo

MAY_LOOK = Q(content_type__app_label__in=["certificates", "payments", "refunds"], codename__startswith="view_") | Q(
    content_type__app_label="core", codename="view_auditentry"
)
MAY_DECIDE = Q(content_type__app_label="refunds", codename="review_refund") | Q(
    content_type__app_label="certificates", codename="record_authority_answer"
)
MAY_VALIDATE = Q(
    content_type__app_label="certificates",
    codename__in=["validate_application", "change_product", "add_product", "add_voucher"],
)
MAY_MOVE_MONEY = Q(content_type__app_label="payments", codename__in=["record_payout", "send_payout", "credit_balance"])

STAFF = {
    "reviewer": MAY_LOOK | MAY_DECIDE | MAY_VALIDATE,
    "cashier": MAY_LOOK | MAY_MOVE_MONEY,
    "clerk": MAY_LOOK,
}
CUSTOMERS = ("customer", "neighbour")


def make_accounts() -> dict[str, User]:
    """The six accounts by their names, all with the same password."""
    password = make_password(PASSWORD)
    people = {name: _account(name, password) for name in CUSTOMERS}
    for name, permissions in STAFF.items():
        people[name] = _account(name, password, is_staff=True)
        people[name].user_permissions.set(Permission.objects.filter(permissions))
    people["admin"] = _account("admin", password, is_staff=True, is_superuser=True)
    return people


def _account(name: str, password: str, **fields: bool) -> User:
    return User.objects.create(username=name, email=f"{name}@example.com", password=password, is_demo=True, **fields)
