"""An account's email address: nobody else's, and the only one that opens it."""

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from core.models import User


def require_own_address(email: str, account: User) -> str:
    """The address, where no other account has it. Raises ValidationError."""
    if email and User.objects.exclude(pk=account.pk).filter(email__iexact=email).exists():
        raise ValidationError(_("Another account has this address already."))
    return email


def forget_former_addresses(account: User) -> None:
    """Addresses that proved themselves are kept by allauth; one that is given up must not open the account any more."""
    EmailAddress.objects.filter(user=account).exclude(email__iexact=account.email).delete()
