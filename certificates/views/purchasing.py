"""Purchase Certificate and Renewal Purchase: what to buy, what it costs, and the receipt."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from certificates import quotes
from certificates.exceptions import (
    CannotBeShared,
    CertificatesError,
    NotAllowed,
    NotForSale,
    NotYourCertificate,
    RenewedAlready,
    TermsChanged,
    VoucherRefused,
    WillBeReissued,
)
from certificates.forms.purchasing import PurchaseForm, VoucherForm
from certificates.models import Certificate, Order
from certificates.quotes import Basket, Form
from certificates.services import purchasing
from certificates.views.common import CONFLICT, UNPROCESSABLE, announced, owned, subject, to_panel, why_refused
from certificates.views.purchase_parts import choice, receipt, terms
from certificates.wording import why_not_shared
from core.requests import SignedInRequest, show_panel
from payments.exceptions import NotEnoughBalance

BACK, BUY = "back", "buy"
BOUGHT = "bought"


@dataclass(frozen=True)
class Panel:
    """One of the two ways to buy: anew, or as the renewal of a certificate that is near its end."""

    renews: Certificate | None = None

    @property
    def title(self) -> str:
        return _("Renewal Purchase") if self.renews else _("Purchase Certificate")

    @property
    def address(self) -> str:
        return reverse("renew", args=[self.renews]) if self.renews else reverse("purchase")

    @property
    def form_class(self) -> type[VoucherForm]:
        return VoucherForm if self.renews else PurchaseForm

    @property
    def faults(self) -> tuple[type[CertificatesError], ...]:
        """What is said beside a field; anything else refuses the whole panel. A renewal chooses no product."""
        beside_a_field = (VoucherRefused, CannotBeShared)
        return beside_a_field if self.renews else (*beside_a_field, NotForSale)

    def basket(self, form: Any) -> Basket:
        """What a valid form asks for."""
        if self.renews is None:
            return form.basket()
        return purchasing.renewal_basket(self.renews, form.cleaned_data["voucher"])

    def context(self, at: datetime) -> dict[str, Any]:
        return {
            "title": self.title,
            "address": self.address,
            "renews": self.renews,
            **(subject(self.renews, at) if self.renews else {}),
        }


@require_http_methods(["GET", "HEAD", "POST"])
def purchase(request: SignedInRequest) -> HttpResponse:
    """Step 1 on GET. A POST goes on to step 2, back to step 1, or buys; the form itself carries the steps."""
    return _answer(request, Panel())


@require_http_methods(["GET", "HEAD", "POST"])
def renew(request: SignedInRequest, instance_id: str) -> HttpResponse:
    """The same steps for one more of the same certificate; refused (409) where there is nothing to renew."""
    return _answer(request, Panel(owned(request, instance_id)))


def _answer(request: SignedInRequest, panel: Panel) -> HttpResponse:
    try:
        return _take_step(request, panel) if request.method == "POST" else _choose(request, panel, panel.form_class())
    except (NotYourCertificate, NotAllowed) as error:
        raise Http404 from error
    except CertificatesError as error:
        return _refuse(request, panel, error)


def _take_step(request: SignedInRequest, panel: Panel) -> HttpResponse:
    form, step = panel.form_class(request.POST), request.POST.get("step", "")
    signed = quotes.read(request.POST.get("form", ""), request.user)
    if signed and (known := purchasing.bought_with(signed.key, by=request.user)):
        # The same form again: a double click, or the back button.
        return to_panel("order", known.number, done=BOUGHT)
    if step == BACK:
        typed = {name: form.data.get(name, "") for name in form.fields}
        return _choose(request, panel, panel.form_class(initial=typed))
    if not form.is_valid():
        return _choose(request, panel, form, status=UNPROCESSABLE)
    # Terms for something else than what was sent are none.
    seen = signed if signed and signed.basket == panel.basket(form) else None
    try:
        return _buy(request, panel, form, seen) if step == BUY and seen else _show_terms(request, panel, form, seen)
    except panel.faults as error:
        form.show_fault(error)
        return _choose(request, panel, form, status=UNPROCESSABLE)


def _buy(request: SignedInRequest, panel: Panel, form: VoucherForm, seen: Form) -> HttpResponse:
    try:
        bought = purchasing.buy(seen.basket, agreed=seen.quote, form_key=seen.key, by=request.user, at=timezone.now())
    except (TermsChanged, NotEnoughBalance):
        return _show_terms(request, panel, form, seen)
    return to_panel("order", bought.number, done=BOUGHT)


# --- What is shown -----------------------------------------------------------------------------


def _choose(request: SignedInRequest, panel: Panel, form: VoucherForm, *, status: int = 200) -> HttpResponse:
    """Step 1: what is to be bought, or what a renewal renews."""
    at = timezone.now()
    if panel.renews:
        basket = purchasing.renewal_basket(panel.renews)
        shown = terms(basket, purchasing.quote(basket, by=request.user, at=at), at)
    else:
        shown = choice(form, request.user)
    template = "certificates/renew.html" if panel.renews else "certificates/purchase_1.html"
    return show_panel(request, template, panel.title, {**panel.context(at), "form": form, **shown}, status=status)


def _show_terms(request: SignedInRequest, panel: Panel, form: VoucherForm, seen: Form | None) -> HttpResponse:
    """Step 2: the terms of now. A purchase comes here only when they are not those that were agreed to."""
    at, basket, is_buying = timezone.now(), panel.basket(form), request.POST.get("step") == BUY
    now = purchasing.quote(basket, by=request.user, at=at)
    context = {
        **panel.context(at),
        "typed": {name: form.data.get(name, "") for name in form.fields},
        "token": quotes.sign(quotes.new_form(request.user, basket, now)),
        "changes": quotes.changes_between(seen.quote, now) if seen else [],
        "must_look_again": is_buying,
        **terms(basket, now, at),
    }
    status = UNPROCESSABLE if now.missing else CONFLICT if is_buying else 200
    return show_panel(request, "certificates/purchase_2.html", panel.title, context, status=status)


def _refuse(request: SignedInRequest, panel: Panel, error: CertificatesError) -> HttpResponse:
    """Why a certificate cannot be renewed. A purchase comes here with nothing that its form lets through."""
    if panel.renews is None:
        raise Http404 from error
    at = timezone.now()
    context = {**panel.context(at), "why": _why_not(error, panel.renews, at)}
    return show_panel(request, "certificates/refused.html", panel.title, context, status=CONFLICT)


def _why_not(error: CertificatesError, certificate: Certificate, at: datetime) -> str:
    if isinstance(error, CannotBeShared):
        return why_not_shared(error)
    known = {
        NotForSale: _("This product is no longer for sale. Buy another one with Purchase Certificate."),
        RenewedAlready: _("This certificate has been renewed already. Its renewal stands below it in the list."),
        WillBeReissued: _(
            "There is nothing to renew yet: the period you bought goes on, and the next certificate of it is issued "
            "by itself before this one ends."
        ),
    }
    return known.get(type(error)) or why_refused(error, certificate, at)


@require_safe
def order(request: SignedInRequest, number: str) -> HttpResponse:
    """The receipt of an order, and ever after what was bought with it and what it cost."""
    found = get_object_or_404(Order, number=number, account=request.user)
    context = {**receipt(found, timezone.now()), "done": request.GET.get("done") == BOUGHT}
    title = _("Order %(number)s") % {"number": found}
    return announced(request, show_panel(request, "certificates/order.html", title, context))
