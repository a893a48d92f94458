"""Whose proof an authorization is.

To the authority all customers are one account, and it may give an authorization, or a whole order, that it knows
already. What one customer has proven must never get a certificate for another, so an authorization that an order of
somebody else knows too is withdrawn, and a new one asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from acme import messages
from django.db.models import Q

from certificates.authority.acme_client import Talk
from certificates.authority.base import AuthorityUnavailable, Enrolled
from certificates.models import Enrollment
from certificates.states import AuthorityName


@dataclass(frozen=True, slots=True)
class Holder:
    """An order that knows an authorization."""

    account_id: int
    is_proven: bool
    authorizations: frozenset[str]


def order_of_its_own(talk: Talk, order: Enrolled) -> messages.OrderResource:
    """A new order whose authorizations nobody else could have proven. Raises as a talk does."""
    made = talk.new_order(order.csr)
    if not made.uri:
        raise AuthorityUnavailable("The new order came without an address.")
    foreign = _foreign(order, made)
    if foreign:
        for address in foreign:
            talk.deactivate(address)
        made = talk.new_order(order.csr)
        if _foreign(order, made):
            raise AuthorityUnavailable("It gives the authorizations of another customer again and again.")
    if Enrollment.objects.filter(authority=AuthorityName.ACME, data__order=made.uri).exists():
        raise AuthorityUnavailable("It gives an order for the same names that is under way already.")
    return made


def is_shared(order: Enrolled) -> bool:
    """Whether an order of another customer knows one of its authorizations: both were handed in at one moment."""
    owner = _owner(order)
    return any(each.account_id != owner for each in _holders(order.data["authorizations"]))


def _foreign(order: Enrolled, made: messages.OrderResource) -> list[str]:
    """The authorizations of a new order that are, or may be, somebody else's proof."""
    owner = _owner(order)
    holders = _holders([each.uri for each in made.authorizations])
    return [each.uri for each in made.authorizations if not _is_usable(each, owner, holders)]


def _is_usable(authorization: messages.AuthorizationResource, owner: int | None, holders: list[Holder]) -> bool:
    those = [each for each in holders if authorization.uri in each.authorizations]
    if any(each.account_id != owner for each in those):
        return False
    return authorization.body.status != messages.STATUS_VALID or any(each.is_proven for each in those)


def _owner(order: Enrolled) -> int | None:
    return (
        Enrollment.objects.filter(reference=order.reference).values_list("certificate__account_id", flat=True).first()
    )


def _holders(addresses: Iterable[str]) -> list[Holder]:
    """The orders that know one of these authorizations."""
    known = Q(data__authorizations__has_any_keys=list(addresses))
    those = Enrollment.objects.filter(known, authority=AuthorityName.ACME)
    facts = those.values_list("certificate__account_id", "proven_at", "data")
    return [Holder(account, proven is not None, frozenset(data["authorizations"])) for account, proven, data in facts]
