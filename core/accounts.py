"""An account's email address: nobody else's, and the only one that opens it."""

from allauth.account.models import EmailAddress
from django.utils.translation import gettext as _

from core.email_addresses import BadEmail, normalize_email, shown_email
from core.models import User


def forget_former_addresses(account: User) -> None:
    """Addresses that proved themselves are kept by allauth; one that is given up must not open the account any more."""
    EmailAddress.objects.filter(user=account).exclude(email=account.email).delete()


def why_unsettled(account: User) -> str:
    """The address that an account had and can't use, and why not; empty if there is none."""
    address = account.unsettled_email
    if not address:
        return ""
    try:
        holder = User.objects.filter(email=normalize_email(address)).first()
    except BadEmail:
        return _("%(address)s: not a valid address") % {"address": address}
    if holder is None:
        return _("%(address)s: no longer used by another account") % {"address": shown_email(address)}
    return _("%(address)s: used by account %(holder)s") % {"address": shown_email(address), "holder": holder.username}
