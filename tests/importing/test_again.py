"""The same file again, a changed one, bad rows passed over, and runs that only look."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from certificates.models import Certificate, Order
from certificates.x509 import read_certificate
from core import jobs
from core.models import User
from payments.models import Payment
from tests import factories
from tests.factories import NOON
from tests.importing.files import row, run, write_csv, write_json_lines

pytestmark = pytest.mark.django_db


def counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (User, Order, Payment, Certificate))


# --- The same file again ------------------------------------------------------------------------


def test_the_same_file_again_changes_nothing(folder: Path):
    run(folder / "orders.csv")
    before = counts()
    with CaptureQueriesContext(connection) as queries:
        again = run(folder / "orders.csv")
    assert (again.code, again.out) == (0, "Imported: 0 certificates in 0 orders. 5 rows known already.")
    assert counts() == before
    assert not [query for query in queries.captured_queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]


def test_rows_without_a_policy_are_known_after_new_purchases_take_another(folder: Path, settings: Any):
    file = write_csv(folder / "one.csv", [row(domains=name) for name in ("a.example.com", "b.example.com")])
    run(file)
    settings.REFUND_POLICY = "intl-2026-03"
    assert run(file).out.endswith("2 rows known already.")
    assert Order.objects.get().policy == "intl-2021"
    named = write_csv(folder / "named.csv", [row(domains="a.example.com", policy="intl-2026-03")])
    assert run(named).problems[0] == "line 2: policy: was imported as intl-2021 and is now intl-2026-03"


def test_rows_are_known_in_any_order_and_in_part(folder: Path):
    rows = [row(domains=name) for name in ("a.example.com", "b.example.com", "c.example.com")]
    run(write_csv(folder / "all.csv", rows))
    assert run(write_csv(folder / "turned.csv", reversed(rows))).out.endswith("3 rows known already.")
    assert run(write_csv(folder / "part.csv", rows[1:2])).out.endswith("1 row known already.")


def test_another_writing_of_the_same_row_is_known(folder: Path):
    run(write_csv(folder / "one.csv", [row()]))
    other = row(paid_at="2026-11-20T02:00:00.000Z", paid_amount="1200", level="dv", service_days="365", free="no")
    assert run(write_csv(folder / "other.csv", [other])).out.endswith("1 row known already.")


def test_a_certificate_that_moved_on_since_is_still_the_same_row(folder: Path):
    file = write_csv(folder / "one.csv", [row(payments="balance:1200.00:")])
    run(file)
    factories.submit(Certificate.objects.get())
    jobs.run_due("worker", clock=lambda: NOON)
    assert Certificate.objects.get().state == "refunded"
    assert run(file).out.endswith("1 row known already.")
    assert Certificate.objects.get().state == "refunded"


def test_an_account_that_changed_since_is_still_the_same_row(folder: Path):
    file = write_csv(folder / "one.csv", [row(email="alice@example.com")])
    run(file)
    User.objects.update(email="new@example.com", is_staff=True)
    assert run(file).out.endswith("1 row known already.")
    assert User.objects.get().email == "new@example.com"


def test_new_orders_come_in_beside_known_ones(folder: Path):
    run(write_csv(folder / "one.csv", [row()]))
    both = run(write_csv(folder / "both.csv", [row(), row(2)]))
    assert both.out == "Imported: 1 certificate in 1 order. 1 row known already."
    assert {order.account.username for order in Order.objects.select_related("account")} == {"alice"}


# --- A changed one ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"domains": "b.example.com"}, ["domains: was imported as shop.example.com and is now b.example.com"]),
        (
            {"issued_at": "2026-11-21T00:00:00Z"},
            ["issued_at: was imported as nothing and is now 2026-11-21T00:00:00+00:00"],
        ),
        (
            {"paid_amount": "1100", "payments": "bank:1100:b-1"},
            [
                "paid_amount: was imported as 1200.00 and is now 1100.00",
                "payments: was imported as alipay:1200.00:ali-1 and is now bank:1100.00:b-1",
            ],
        ),
        ({"account": "bob"}, ["account: was imported as alice and is now bob"]),
        ({"service_days": "30"}, ["service_days: was imported as 365 and is now 30"]),
        ({"instance_id": "cas-1"}, ["instance_id: was imported as nothing and is now cas-1"]),
    ],
)
def test_a_changed_row_is_refused_with_the_difference(folder: Path, fields: dict[str, Any], problems: list[str]):
    run(write_csv(folder / "one.csv", [row()]))
    before = Certificate.objects.values().get()
    changed = run(write_csv(folder / "changed.csv", [row(**fields)]))
    assert changed.code == 1
    assert changed.problems == [f"line 2: {problem}" for problem in problems]
    assert Certificate.objects.values().get() == before
    assert counts() == (1, 1, 1, 1)


def test_a_certificate_added_to_a_row_is_a_change(folder: Path):
    given = row(paid_at="2026-11-17T10:00:00+08:00")
    run(write_csv(folder / "one.csv", [given]))
    changed = run(write_csv(folder / "changed.csv", [{**given, "certificate": "certificates/shop.example.com.pem"}]))
    fingerprint = read_certificate((folder / "certificates" / "shop.example.com.pem").read_text()).fingerprint
    assert changed.problems == [f"line 2: certificate: was imported as nothing and is now {fingerprint}"]


def test_the_difference_is_that_of_the_row_with_the_same_instance_id(folder: Path):
    rows = [row(domains=f"{name}.example.com", instance_id=f"cas-{name}") for name in "abc"]
    run(write_csv(folder / "all.csv", rows))
    turned = [rows[2], {**rows[1], "domains": "x.example.com"}, rows[0]]
    changed = run(write_csv(folder / "turned.csv", turned))
    assert changed.problems == ["line 3: domains: was imported as b.example.com and is now x.example.com"]


def test_a_new_row_of_an_imported_order_is_refused(folder: Path):
    run(write_csv(folder / "one.csv", [row()]))
    more = run(write_csv(folder / "more.csv", [row(), row(domains="b.example.com")]))
    assert more.problems == ["line 3: order_number: is of an order that is imported already, without this row"]


# --- Bad rows passed over -----------------------------------------------------------------------


def test_one_bad_row_keeps_everything_out(folder: Path):
    assert run(write_csv(folder / "two.csv", [row(), row(2, level="X")])).code == 1
    assert counts() == (0, 0, 0, 0)


def test_skip_bad_imports_the_orders_without_a_bad_row_and_says_so(folder: Path):
    rows = [row(1), row(2), row(2, level="X"), row(3, domains="_"), row(4)]
    skipped = run(write_csv(folder / "some.csv", rows), "--skip-bad")
    assert skipped.code == 1
    assert skipped.problems == [
        "line 4: level: is not one of DV, OV, EV",
        "line 5: domains: '_' is not a domain name",
    ]
    assert skipped.out == "Imported: 2 certificates in 2 orders. Skipped: 3 rows, for 2 problems in 2 rows."
    assert set(Order.objects.values_list("number", flat=True)) == {"A-1", "A-4"}


def test_skip_bad_with_nothing_bad_is_an_import_like_any_other(folder: Path):
    assert run(folder / "orders.csv", "--skip-bad") == (0, "Imported: 5 certificates in 4 orders.", [])


def test_skip_bad_passes_over_changed_orders_and_imports_new_ones(folder: Path):
    run(write_csv(folder / "one.csv", [row(1), row(2)]))
    skipped = run(write_csv(folder / "more.csv", [row(1, brand="Other"), row(2), row(3)]), "--skip-bad")
    assert skipped.out == (
        "Imported: 1 certificate in 1 order. 1 row known already. Skipped: 1 row, for 1 problem in 1 row."
    )
    assert not Certificate.objects.filter(product__brand="Other").exists()


def test_a_mended_file_brings_in_what_was_skipped(folder: Path):
    run(write_csv(folder / "some.csv", [row(1), row(2, level="X")]), "--skip-bad")
    mended = run(write_csv(folder / "mended.csv", [row(1), row(2)]))
    assert mended.out == "Imported: 1 certificate in 1 order. 1 row known already."


def test_orders_beside_a_row_that_could_be_theirs_are_passed_over(folder: Path):
    """Their shares would be fixed without it."""
    file = write_json_lines(folder / "some.jsonl", [row(n) for n in range(1, 7)])
    lines = file.read_text().splitlines()
    lines[2] = "{broken"
    file.write_text("\n".join(lines))
    skipped = run(file, "--skip-bad")
    assert skipped.out == "Imported: 3 certificates in 3 orders. Skipped: 3 rows, for 1 problem in 1 row."
    assert set(Order.objects.values_list("number", flat=True)) == {"A-1", "A-5", "A-6"}


def test_a_bad_row_of_an_imported_order_leaves_its_other_rows_known(folder: Path):
    rows = [row(domains="a.example.com"), row(domains="b.example.com")]
    run(write_csv(folder / "two.csv", rows))
    again = run(write_csv(folder / "bad.csv", [rows[0], {**rows[1], "level": "X"}, row(2)]), "--skip-bad")
    assert again.problems == ["line 3: level: is not one of DV, OV, EV"]
    assert again.out == "Imported: 1 certificate in 1 order. Skipped: 2 rows, for 1 problem in 1 row."


def test_a_file_that_cannot_be_read_to_its_end_imports_nothing_even_with_skip_bad(folder: Path):
    file = write_csv(folder / "cut.csv", [row(1), row(2), row(3)])
    file.write_text(file.read_text() + '"A-4,')
    assert run(file, "--skip-bad").code == 1
    assert counts() == (0, 0, 0, 0)


# --- Only looking -------------------------------------------------------------------------------


def test_a_dry_run_tells_what_would_be_done_and_stores_nothing(folder: Path):
    dry = run(folder / "orders.csv", "--dry-run")
    assert (dry.code, dry.out) == (0, "Dry run, nothing was stored. To be imported: 5 certificates in 4 orders.")
    assert counts() == (0, 0, 0, 0)


def test_a_dry_run_finds_the_same_problems(folder: Path):
    file = write_csv(folder / "bad.csv", [row(), row(2, level="X")])
    assert run(file, "--dry-run") == run(file)


def test_a_dry_run_with_skip_bad_tells_what_that_would_import(folder: Path):
    dry = run(write_csv(folder / "bad.csv", [row(), row(2, level="X")]), "--dry-run", "--skip-bad")
    assert dry.out == (
        "Dry run, nothing was stored. To be imported: 1 certificate in 1 order. Skipped: 1 row, for 1 problem in 1 row."
    )
    assert counts() == (0, 0, 0, 0)
