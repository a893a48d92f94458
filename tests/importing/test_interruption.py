"""Killed at any point, beside others who write, and in whatever size of file."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from urllib.parse import quote, urlsplit

import pytest
from django.db import DatabaseError, IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from certificates.importing import running
from certificates.importing.checking import AT_ONCE
from certificates.importing.running import import_orders
from certificates.models import Certificate, Domain, Order, SearchTerm, Share
from core.models import User
from payments.models import Payment
from tests.factories import NOON, UserFactory
from tests.importing.files import row, run, write_csv


def orders(count: int, **fields: str) -> list[dict]:
    return [row(number, domains=f"a{number}.example.com", **fields) for number in range(count)]


def silent(_act: str, _total: int) -> Callable[[int], None]:
    return lambda _done: None


def database_url() -> str:
    """The address of the test database, for another process."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(name)}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("point", "stored"), [("inside", 4), ("between", 6)])
def test_the_same_file_completes_an_import_that_was_killed(folder: Path, point: str, stored: int):
    file = write_csv(folder / "twelve.csv", orders(12))
    killed = subprocess.run(
        [sys.executable, "-m", "tests.importing.killed", str(file), point],
        env={**os.environ, "DATABASE_URL": database_url()},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [model.objects.count() for model in (Order, Payment, Certificate, Domain, Share)] == [stored] * 5

    again = run(file)
    assert again.out == f"Imported: {12 - stored} certificates in {12 - stored} orders. {stored} rows known already."
    assert [model.objects.count() for model in (Order, Payment, Certificate, Domain, Share)] == [12] * 5
    assert SearchTerm.objects.count() == 36


@pytest.mark.django_db
def test_an_order_is_stored_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_args: object) -> None:
        raise DatabaseError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("certificates.storing.search_terms", fail)
        with pytest.raises(DatabaseError):
            run(write_csv(folder / "one.csv", orders(1)))
    assert not (Order.objects.exists() or User.objects.exists() or Certificate.objects.exists())


@pytest.mark.django_db(transaction=True)
def test_customers_write_between_the_batches_and_see_what_is_stored(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "BATCH", 4)
    customer = UserFactory()
    seen = []

    def write() -> None:
        """As another process does: on a connection of its own, which on SQLite must not find the database locked."""
        try:
            connection.ensure_connection()
            if connection.vendor == "sqlite":
                connection.cursor().execute("PRAGMA busy_timeout = 0")
            User.objects.filter(pk=customer.pk).update(name=f"after {len(seen)}")
            seen.append(Order.objects.count())
        finally:
            connection.close()

    def progress(act: str, _total: int) -> Callable[[int], None]:
        def advance(_done: int) -> None:
            if act == "Storing":
                thread = Thread(target=write)
                thread.start()
                thread.join()

        return advance

    import_orders(write_csv(folder / "six.csv", orders(6)), at=NOON, progress=progress)
    assert seen == [2, 4, 6]
    customer.refresh_from_db()
    assert customer.name == "after 2"


@pytest.mark.django_db
def test_an_order_that_somebody_else_stored_meanwhile_is_never_counted_as_imported(folder: Path):
    file = write_csv(folder / "three.csv", orders(3))

    def progress(act: str, _total: int) -> Callable[[int], None]:
        if act == "Storing":  # judged, and not stored yet
            import_orders(write_csv(folder / "one.csv", orders(3)[1:2]), at=NOON, progress=silent)
        return lambda _done: None

    with pytest.raises(IntegrityError):
        import_orders(file, at=NOON, progress=progress)
    assert Order.objects.count() == 1
    import_orders(file, at=NOON, progress=silent)  # the same file compares it, and completes the rest
    assert Order.objects.count() == Certificate.objects.count() == 3


@pytest.mark.django_db
def test_something_else_stored_meanwhile_is_told_in_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("certificates.importing.checking._references", lambda _rows: set())
    run(write_csv(folder / "one.csv", [row(1)]))
    clash = run(write_csv(folder / "two.csv", [row(2, payments="alipay:1200.00:ali-1")]))
    assert clash.code == 1
    assert clash.problems[0].endswith("stored by somebody else meanwhile; import the same file again")
    assert Order.objects.count() == 1


@pytest.mark.django_db
def test_ctrl_c_is_told_in_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(_orders: list) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "store_orders", interrupt)
    stopped = run(folder / "orders.csv")
    assert stopped.code == 130
    assert stopped.problems[0].endswith("interrupted; the same file completes what was begun")


@pytest.mark.django_db
def test_a_batch_is_no_larger_than_its_limit_and_one_order(folder: Path, monkeypatch: pytest.MonkeyPatch):
    sizes = []

    def store(given: list) -> None:
        sizes.append(sum(1 + len(line.domains) for order in given for line in order.certificates))

    monkeypatch.setattr(running, "store_orders", store)
    monkeypatch.setattr(running, "BATCH", 800)
    names = ";".join(f"a{n}.example.com" for n in range(200))
    import_orders(
        write_csv(folder / "many.csv", [row(n, domains=names, domain_type="multi") for n in range(9)]),
        at=NOON,
        progress=silent,
    )
    assert sizes == [4 * 201, 4 * 201, 201]


@pytest.mark.django_db
def test_a_batch_takes_as_many_queries_whatever_is_in_it(folder: Path):
    def queries(file: Path) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert run(file).code == 0
        return len(captured)

    few = queries(write_csv(folder / "few.csv", [row(1000)]))
    many = queries(write_csv(folder / "many.csv", orders(100)))
    assert many <= few


@pytest.mark.django_db
def test_memory_and_time_hold_for_a_larger_file(folder: Path):
    """A sample; the measure of it is 100,000 rows in less than 60 s and 300 MB."""

    def cost(count: int) -> tuple[int, float]:
        file = write_csv(folder / f"{count}.csv", orders(count))
        tracemalloc.start()
        begun = time.process_time()
        import_orders(file, at=NOON, progress=silent, dry_run=True)
        spent, peak = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, spent / count

    # Two chunks of orders are held at most, whatever the file's size.
    (few, quick), (many, slow) = cost(2 * AT_ONCE + 1), cost(5 * AT_ONCE)
    assert many < few * 1.25
    assert slow < quick * 3
