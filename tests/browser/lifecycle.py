"""From a purchase to a certificate and back, as a customer goes that way, and the worker beside them."""

import re
from dataclasses import dataclass

from django.core import mail
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from certificates.models import Certificate, Enrollment
from core import jobs
from core.models import Job, User
from refunds.models import RefundRequest
from refunds.services import approve_refund
from tests import factories
from tests.browser.helpers import shots_in_every_look

KINDS = ("advance_enrollment", "pay_payout", "send_mail")


def work(rounds: int = 8) -> None:
    """What the worker does, without waiting for what it would ask again in some seconds."""
    for _ in range(rounds):
        queued = list(Job.objects.filter(kind__in=KINDS, state=Job.State.QUEUED).order_by("id"))
        if not queued:
            return
        for job in queued:
            job.lease = "worker:test"
            job.save()
            jobs.run(job, at=timezone.now())


@dataclass
class Customer:
    """A customer before the Overview, who keeps a picture of every panel under `name`."""

    page: Page
    address: str
    name: str
    shots: int = 0

    @property
    def panel(self) -> Locator:
        return self.page.get_by_role("dialog")

    def row(self, certificate: Certificate) -> Locator:
        return self.page.locator("tbody tr", has_text=certificate.instance_id)

    def press(self, certificate: Certificate, action: str) -> None:
        """An action of the certificate's row, under More where it stands there."""
        self.page.goto(self.address)
        row = self.row(certificate)
        link = row.get_by_role("link", name=action, exact=True)
        if not link.is_visible():
            row.get_by_role("button", name="More").click()
        link.click()
        expect(self.panel.locator("#panel-title")).to_be_visible()

    def shot(self, what: str) -> None:
        self.shots += 1
        shots_in_every_look(self.page, f"{self.name}-{self.shots}-{what}")

    def click(self, button: str) -> None:
        self.panel.get_by_role("button", name=button, exact=True).click()

    # --- The steps -----------------------------------------------------------------------------

    def buy(self, product: str) -> Certificate:
        self.page.goto(self.address)
        self.page.get_by_role("link", name="Purchase Certificate").first.click()
        self.panel.get_by_role("radio", name=re.compile(product)).check()
        self.shot("purchase")
        self.click("Next")
        expect(self.panel.get_by_text("Step 2 of 2")).to_be_visible()
        self.shot("price")
        self.click("Buy")
        expect(self.panel).to_contain_text("Bought")
        self.shot("order")
        return Certificate.objects.select_related("account").latest("id")

    def apply(self, certificate: Certificate, domain: str, **company: str) -> Enrollment:
        self.press(certificate, "Apply for Certificate")
        self.panel.get_by_label("Domains").fill(domain)
        self.panel.get_by_label("Telephone").fill("+86 571 1234 5678")
        for label, text in company.items():
            self.panel.get_by_label(label.replace("_", " "), exact=True).fill(text)
        if company:
            self.panel.get_by_label("Country or region").select_option("SG")
        self.panel.get_by_label("EC P-256, made here").check()
        self.shot("apply")
        self.click("Submit")
        expect(self.panel).to_contain_text("The application is submitted.")
        work()
        return Enrollment.objects.get(certificate=certificate)

    def verify(self, certificate: Certificate) -> None:
        self.press(certificate, "Verify")
        self.shot("verify")
        self.click("Verify now")
        expect(self.panel).to_contain_text("proven at")

    def revoke(self, certificate: Certificate, domain: str) -> None:
        self.press(certificate, "Revoke")
        self.panel.get_by_label("Reason").select_option("superseded")
        self.panel.get_by_label("Domain, to confirm").fill(domain)
        self.shot("revoke")
        self.click("Revoke")
        expect(self.panel.get_by_role("heading", name="Revocation")).to_be_visible()
        self.shot("revocation")

    def ask_refund(self, certificate: Certificate) -> RefundRequest:
        self.press(certificate, "Refund")
        self.panel.get_by_label("I no longer need the certificate.").check()
        self.click("Next")
        expect(self.panel.get_by_text("Step 2 of 2")).to_be_visible()
        self.click("Submit")
        expect(self.panel).to_contain_text("Your refund is requested under the reference")
        self.shot("refund")
        return RefundRequest.objects.latest("id")

    def reads(self, certificate: Certificate, state: str) -> None:
        self.page.goto(self.address)
        expect(self.row(certificate)).to_contain_text(state)


def grant(request: RefundRequest) -> None:
    """A reviewer approves it, and the worker pays."""
    reviewer = User.objects.filter(username="reviewer").first() or factories.reviewer()
    approve_refund(request.pk, seen=factories.seen(request), by=reviewer, at=timezone.now())
    work()


def link_in_mail() -> str:
    """The address in the newest mail that leads to the console's confirmation of a revocation."""
    found = re.search(r"https?://\S+/revocations/\S+/", str(mail.outbox[-1].body))
    assert found, mail.outbox[-1].body
    return found[0]
