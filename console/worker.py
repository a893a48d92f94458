"""The worker: runs due jobs, does what time alone makes due, keeps house. Any number of them work on one database.

A process has several lanes, each a thread with a connection of its own, so that neither a mail server nor a certificate
authority that does not answer ever keeps money waiting.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Thread

from django.core.management import call_command
from django.db import Error, InterfaceError, OperationalError, connections
from django.db.models import Q
from django.utils import timezone

from certificates.services.reissuing import reissue_due, tell_of_proofs
from certificates.services.revocations import lapse_revocations
from certificates.services.watching import KIND as WATCHING
from certificates.services.watching import order_watch
from console.sign_in.resets import JOB as RESET_LINK
from core import jobs
from core.models import Job
from payments.services import queue_waiting
from refunds.services import lapse_overdue

logger = logging.getLogger(__name__)

MAILS = Q(kind__in=["send_mail", RESET_LINK])
# What asks authorities, and the customers' own servers.
AUTHORITIES = Q(kind__in=["advance_enrollment", "look_for_proof", WATCHING])
# Seconds.
IDLE = 0.25
LAPSE_EVERY = 5.0
# Payouts whose channel has been configured since they were ordered.
TAKE_UP_EVERY = 60.0
REISSUE_EVERY = 600.0
# It is done once a day: this is how late after midnight it may begin.
WATCH_EVERY = 3600.0
KEEP_HOUSE_EVERY = 24 * 3600.0
LONGEST_BACK_OFF = 30.0
KEPT_FOR = timedelta(days=7)

STOPPING = (signal.SIGTERM, signal.SIGINT)


class LaneDied(Exception):
    """A lane of the worker ended by an error that nothing was prepared for."""


@dataclass
class Duty:
    """What a lane does every so many seconds of this machine's clock, and once at its start."""

    act: Callable[[datetime], object]
    every: float
    due: float = 0.0

    def do_if_due(self, at: datetime) -> None:
        if time.monotonic() < self.due:
            return
        try:
            self.act(at)
        except (InterfaceError, OperationalError):  # the database is away: the lane waits for it
            raise
        except Exception:
            logger.exception("%s failed and is tried again later", self.act.__name__)
        self.due = time.monotonic() + self.every


def lapse(at: datetime) -> None:
    lapse_overdue(at=at)
    lapse_revocations(at=at)


def take_up(at: datetime) -> None:
    queue_waiting(at=at)


def reissue(at: datetime) -> None:
    reissue_due(at=at)
    tell_of_proofs(at=at)


def watch(at: datetime) -> None:
    order_watch(at=at)


def keep_house(at: datetime) -> None:
    call_command("clearsessions")
    # Of these a day has thousands, and nobody asks whether one was done. Reset links hold what strangers typed.
    done = Job.objects.filter(
        kind__in=["notice_revocations", "look_for_proof", RESET_LINK],
        state=Job.State.DONE,
        finished_at__lt=at - KEPT_FOR,
    )
    done.delete()


@dataclass
class Outage:
    """Whether the database is away, told once for all lanes."""

    is_known: bool = False

    def begins(self, error: Error) -> None:
        if not self.is_known:
            self.is_known = True
            logger.warning("The database cannot be used, trying again: %s", " ".join(str(error).split()))

    def ends(self) -> None:
        if self.is_known:
            self.is_known = False
            logger.info("The database can be used again")


@dataclass
class Lane:
    """One line of work: its jobs in turn and, between two of them, its duties."""

    worker: str
    takes: Q
    duties: Sequence[Duty] = ()
    lease: timedelta = jobs.LEASE
    clock: Callable[[], datetime] = timezone.now
    stopping: Event = field(default_factory=Event)
    outage: Outage = field(default_factory=Outage)
    has_died: bool = False

    def run(self) -> None:
        """Work until told to stop; a job in hand is finished first."""
        failures = 0
        while not self.stopping.is_set():
            try:
                is_busy = self.step()
            except Error as error:
                self.outage.begins(error)
                connections.close_all()
                self.stopping.wait(min(2.0 ** min(failures, 10), LONGEST_BACK_OFF))
                failures += 1
                continue
            self.outage.ends()
            failures = 0
            if not is_busy:
                self.stopping.wait(IDLE)

    def step(self) -> bool:
        """Do what is due of the duties, and one job; say whether there was one. Raises what the database raises."""
        jobs.renew_connection()
        for duty in self.duties:
            duty.do_if_due(self.clock())
        return bool(jobs.run_due(self.worker, clock=self.clock, limit=1, lease=self.lease, lane=self.takes))


def lanes(*, lease: timedelta = jobs.LEASE) -> list[Lane]:
    """Money and all that is quick, with the duties; beside it mails, and what authorities are asked."""
    worker, stopping, outage = f"{socket.gethostname()}:{os.getpid()}", Event(), Outage()
    duties = [Duty(lapse, LAPSE_EVERY), Duty(take_up, TAKE_UP_EVERY), Duty(keep_house, KEEP_HOUSE_EVERY)]
    authorities = [Duty(reissue, REISSUE_EVERY), Duty(watch, WATCH_EVERY)]
    return [
        Lane(worker, ~(MAILS | AUTHORITIES), duties, lease=lease, stopping=stopping, outage=outage),
        Lane(worker, MAILS, lease=lease, stopping=stopping, outage=outage),
        Lane(worker, AUTHORITIES, authorities, lease=lease, stopping=stopping, outage=outage),
    ]


def run_once(*, lease: timedelta = jobs.LEASE) -> None:
    """Do what is due, mails of it included, until nothing is."""
    for act in (lapse, take_up, reissue, watch):
        act(timezone.now())
    while jobs.run_due("once", lease=lease):
        pass


def run_until_stopped(*, lease: timedelta = jobs.LEASE) -> None:
    """Work until TERM or INT, and let each lane finish its job in hand. For the main thread of a process.

    Raises LaneDied when a lane ended by itself.
    """
    stop = StopLine()
    all_lanes = lanes(lease=lease)
    threads = [Thread(target=_run_or_stop_all, args=[lane, stop]) for lane in all_lanes]
    for thread in threads:
        thread.start()
    stop.wait()
    for lane in all_lanes:
        lane.stopping.set()
    for thread in threads:
        thread.join()
    if any(lane.has_died for lane in all_lanes):
        raise LaneDied


class StopLine:
    """A line on which signals and lanes ask the main thread to stop.

    A handler that set the lanes' event could meet the very lock that it needs, and a masked signal would still reach
    the threads of the connection pool: Python writes to this line whichever thread was hit.
    """

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair()
        self.writer.setblocking(False)
        signal.set_wakeup_fd(self.writer.fileno(), warn_on_full_buffer=False)
        for number in STOPPING:
            signal.signal(number, lambda *_: None)

    def ask(self) -> None:
        self.writer.send(b"stop")

    def wait(self) -> None:
        self.reader.recv(1)


def _run_or_stop_all(lane: Lane, stop: StopLine) -> None:
    """A worker that has lost a lane must not look alive: it stops, for whoever started it to start it again."""
    try:
        lane.run()
    except BaseException:
        logger.exception("The worker stops")
        lane.has_died = True
        stop.ask()
    finally:
        connections.close_all()
