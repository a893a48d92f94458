"""The worker in this process: what its lanes do in turn, and what they survive."""

import logging
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError, connection

from console import worker
from console.worker import Duty, Lane, keep_house, lanes, lapse
from core import guards, jobs
from core.models import Job
from payments import channels
from payments.models import Payout
from refunds.models import RefundRequest
from refunds.services import steps
from tests import factories
from tests.factories import NOON
from tests.money.scripted import ScriptedChannel


def noon():
    return NOON


class Stopping:
    """Stands for the event that stops a lane; notes how long it was waited for, and stops after so many waits."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return len(self.waits) >= self.after

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


def money_and_mail():
    money, mail, _ = lanes()
    money.clock = mail.clock = noon
    return money, mail


# --- Lanes -------------------------------------------------------------------------------------


def test_money_lane_pays_and_leaves_the_mail_to_its_own(customer):
    money, mail = money_and_mail()
    request = factories.submit(factories.certificate(customer))
    assert money.step() is True
    assert RefundRequest.objects.get(pk=request.pk).state == "refunded"
    assert money.step() is False
    assert mail.step() is True
    assert not Job.objects.exclude(state=Job.State.DONE).exists()


def test_authority_that_does_not_answer_keeps_no_money_waiting(customer, monkeypatch):
    """What asks it was ordered first, and is left to a lane of its own."""
    asked = []

    def ask(payload, *, at):
        asked.append(payload)

    for handler in ("advance_enrollment", "look_for_proof"):
        monkeypatch.setattr(f"certificates.services.{handler}", ask)
    jobs.enqueue("advance_enrollment", key="one", payload={"enrollment": 1, "step": 1})
    jobs.enqueue("look_for_proof", key="two", payload={"enrollment": 1, "look": 1})
    request = factories.submit(factories.certificate(customer))
    money, mail = money_and_mail()
    assert [money.step(), money.step(), mail.step()] == [True, False, True]
    assert RefundRequest.objects.get(pk=request.pk).state == "refunded"
    assert asked == []
    authorities = lanes()[2]
    authorities.duties = ()
    assert [authorities.step(), authorities.step(), authorities.step()] == [True, True, False]
    assert len(asked) == 2


@pytest.mark.parametrize("kind", settings.JOB_HANDLERS)
def test_job_of_each_kind_is_taken_by_exactly_one_lane(db, kind):
    jobs.enqueue(kind, key="one", payload={})
    assert sum(jobs.due(lane.takes).exists() for lane in lanes()) == 1


def test_lanes_stop_together_and_share_what_they_know_of_the_database():
    first, *others = lanes()
    assert others
    assert all(lane.stopping is first.stopping and lane.outage is first.outage for lane in others)


def test_busy_lane_does_not_wait_and_an_idle_one_waits_briefly(db, done):
    for name in ("one", "two"):
        jobs.enqueue("note", key=name, payload={"name": name})
    lane = Lane("worker", worker.MAILS | ~worker.MAILS, clock=noon, stopping=Stopping(after=2))
    lane.run()
    assert done == ["one", "two"]
    assert lane.stopping.waits == [worker.IDLE] * 2
    assert worker.IDLE <= 0.5


def test_lane_told_to_stop_takes_no_further_job(db, done):
    jobs.enqueue("note", key="one", payload={"name": "one"})
    Lane("worker", ~worker.MAILS, stopping=Stopping(after=0)).run()
    assert done == []


def test_lane_holds_its_jobs_for_the_lease_it_was_given(db, done):
    held = []
    jobs.enqueue("note", key="one", payload={"name": "one"})
    lane = Lane("worker", ~worker.MAILS, lease=timedelta(hours=5), clock=lambda: held.append(Job.objects.get()) or NOON)
    lane.step()
    assert held[0].leased_until - held[0].created_at > timedelta(hours=4)


# --- Duties ------------------------------------------------------------------------------------


def test_duty_is_done_at_the_start_and_then_every_so_often(monkeypatch):
    seconds, done = [100.0], []
    monkeypatch.setattr(worker.time, "monotonic", lambda: seconds[0])
    duty = Duty(done.append, every=5)
    for moment in (100.0, 104.9, 105.0, 105.1, 111.0):
        seconds[0] = moment
        duty.do_if_due(moment)
    assert done == [100.0, 105.0, 111.0]


def test_duty_that_breaks_stops_neither_jobs_nor_other_duties(db, done, caplog):
    def break_down(_):
        raise RuntimeError("nobody thought of this")

    jobs.enqueue("note", key="one", payload={"name": "one"})
    others = []
    lane = Lane("worker", ~worker.MAILS, [Duty(break_down, 5), Duty(others.append, 5)], clock=noon)
    assert lane.step() is True
    assert (done, others) == (["one"], [NOON])
    assert "break_down failed" in caplog.text


@pytest.mark.parametrize("error", [IntegrityError, DataError, ProgrammingError])
def test_duty_that_the_database_refuses_stops_no_job(db, done, error):
    def be_refused(_):
        raise error("this row cannot be stored")

    jobs.enqueue("note", key="one", payload={"name": "one"})
    lane = Lane("worker", ~worker.MAILS, [Duty(be_refused, 5)], clock=noon)
    assert lane.step() is True
    assert done == ["one"]


def test_request_that_the_database_refuses_to_lapse_keeps_no_other_from_it(customer, monkeypatch):
    certificates = [factories.certificate(customer, bought=timedelta(days=300)) for _ in range(2)]
    refused, sound = [factories.submit(certificate) for certificate in certificates]
    plain = steps.lapse_if_due

    def lapse_if_due(request, certificate, *, at):
        if request.pk == refused.pk:
            raise IntegrityError("a trigger says no")
        return plain(request, certificate, at=at)

    monkeypatch.setattr(steps, "lapse_if_due", lapse_if_due)
    lapse(certificates[0].service_ends_at)
    states = [RefundRequest.objects.get(pk=request.pk).state for request in (refused, sound)]
    assert states == ["under_review", "lapsed"]


def test_worker_lapses_a_request_whose_certificate_expired(customer):
    certificate = factories.certificate(customer, bought=timedelta(days=300))
    request = factories.submit(certificate)
    money, _ = money_and_mail()
    money.clock = lambda: certificate.service_ends_at - timedelta(seconds=1)
    money.step()
    assert RefundRequest.objects.get(pk=request.pk).state == "under_review"
    money.duties[0].due = 0
    money.clock = lambda: certificate.service_ends_at
    money.step()
    lapsed = RefundRequest.objects.get(pk=request.pk)
    assert (lapsed.state, lapsed.lapse_cause) == ("lapsed", "expired")


def test_request_that_cannot_be_lapsed_keeps_no_other_from_it(customer, monkeypatch):
    certificates = [factories.certificate(customer, bought=timedelta(days=300)) for _ in range(2)]
    poisoned, sound = [factories.submit(certificate) for certificate in certificates]
    RefundRequest.objects.filter(pk=poisoned.pk).update(facts={"nonsense": True})
    lapse(certificates[0].service_ends_at)
    states = [RefundRequest.objects.get(pk=request.pk).state for request in (poisoned, sound)]
    assert states == ["under_review", "lapsed"]


def test_worker_orders_reissues_and_the_watch_for_revocations(customer, monkeypatch):
    reissued, told = [], []
    monkeypatch.setattr(worker, "reissue_due", lambda *, at: reissued.append(at))
    monkeypatch.setattr(worker, "tell_of_proofs", lambda *, at: told.append(at))
    authorities = lanes()[2]
    authorities.clock = noon
    authorities.step()
    assert (reissued, told) == ([NOON], [NOON])
    assert [each.payload["day"] for each in Job.objects.filter(kind="notice_revocations")] == ["2026-11-23"]
    assert [duty.every for duty in authorities.duties] == [600, 3600]


def test_worker_lapses_revocations_that_nobody_confirmed(db, monkeypatch):
    lapsed = []
    monkeypatch.setattr(worker, "lapse_revocations", lambda *, at: lapsed.append(at))
    money, _ = money_and_mail()
    money.step()
    assert lapsed == [NOON]


def waiting_payout(customer) -> Payout:
    """Ordered before its channel was connected."""
    request = factories.submit(factories.certificate(customer, payments={"card": 120_000}))
    return Payout.objects.get(reference=request.reference)


def test_payout_waits_for_its_channel_and_is_then_taken_up_within_a_minute(customer, monkeypatch):
    payout = waiting_payout(customer)
    money, _ = money_and_mail()
    assert money.step() is False
    monkeypatch.setitem(channels._CONNECTED, "card", ScriptedChannel())
    assert money.step() is False
    [taking_up] = [duty for duty in money.duties if duty.act is worker.take_up]
    assert taking_up.every == 60
    taking_up.due = 0
    assert money.step() is True
    assert Payout.objects.get(pk=payout.pk).state == "paid"


def test_payout_whose_channel_is_connected_meanwhile_is_taken_up_at_the_start(customer, monkeypatch):
    payout = waiting_payout(customer)
    monkeypatch.setitem(channels._CONNECTED, "card", ScriptedChannel())
    money, _ = money_and_mail()
    assert money.step() is True
    assert Payout.objects.get(pk=payout.pk).state == "paid"


def test_once_takes_up_a_payout_whose_channel_is_connected_meanwhile(customer, monkeypatch):
    payout = waiting_payout(customer)
    monkeypatch.setitem(channels._CONNECTED, "card", ScriptedChannel())
    worker.run_once()
    assert Payout.objects.get(pk=payout.pk).state == "paid"


def test_worker_forgets_sessions_that_have_ended(db):
    for name, expires in (("old", NOON - timedelta(days=9000)), ("new", NOON + timedelta(days=9000))):
        Session.objects.create(session_key=name, session_data="", expire_date=expires)
    keep_house(NOON)
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]


# --- Outages -----------------------------------------------------------------------------------


class AwayForThree(Lane):
    steps = 0

    def step(self) -> bool:
        self.steps += 1
        if self.steps <= 3:
            raise OperationalError("server closed\nthe connection")
        return False


def test_lane_waits_ever_longer_for_a_database_that_is_away_and_says_so_once(caplog):
    caplog.set_level(logging.INFO, "console.worker")
    lane = AwayForThree("worker", ~worker.MAILS, stopping=Stopping(after=4))
    lane.run()
    assert lane.stopping.waits == [1, 2, 4, worker.IDLE]
    assert [record.message for record in caplog.records] == [
        "The database cannot be used, trying again: server closed the connection",
        "The database can be used again",
    ]


def test_wait_for_the_database_is_never_longer_than_half_a_minute(monkeypatch):
    monkeypatch.setattr(AwayForThree, "steps", -2000)
    lane = AwayForThree("worker", ~worker.MAILS, stopping=Stopping(after=2000))  # most of a day
    lane.run()
    assert max(lane.stopping.waits) == 30


@pytest.mark.django_db(transaction=True)
def test_job_that_met_a_broken_connection_is_put_off_over_another(done, monkeypatch):
    broken = []

    def lose_connection(payload, *, at):
        broken.append(connection.connection)
        connection.errors_occurred = True
        monkeypatch.setattr(connection, "is_usable", lambda: False)
        raise OperationalError("server closed the connection")

    monkeypatch.setattr("tests.jobs.handlers.note", lose_connection)
    jobs.enqueue("note", key="one", payload={"name": "one"})
    assert jobs.run_due("worker", clock=noon) == 1
    assert connection.connection is not broken[0]
    job = Job.objects.get()
    assert (job.state, job.lease, job.attempts) == (Job.State.QUEUED, "", 1)


# --- The command -------------------------------------------------------------------------------


def test_once_pays_and_mails_what_is_due_and_ends(customer, mailoutbox):
    request = factories.submit(factories.certificate(customer))
    call_command("worker", once=True)
    assert RefundRequest.objects.get(pk=request.pk).state == "refunded"
    assert [mail.to for mail in mailoutbox] == [["customer@example.com"]]


def test_worker_refuses_a_database_without_its_guards(db):
    with guards.guards_lifted(), pytest.raises(CommandError, match=r"lacks its guards guard_.* and \d+ more\. Run"):
        call_command("worker", once=True)


def test_worker_refuses_a_database_that_does_not_answer(monkeypatch):
    def away(*_):
        raise OperationalError("connection\nrefused")

    monkeypatch.setattr("console.management.commands.worker.require_guards", away)
    with pytest.raises(CommandError, match=r"cannot be reached \(connection refused\)"):
        call_command("worker", once=True)
