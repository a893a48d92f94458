"""How far a part of a refund is, as its customer has to know it: also whether the console or a person carries it on."""

from enum import StrEnum

from payments.channels import connected
from payments.models import Payout
from payments.services import is_with_staff
from payments.states import PayoutState


class Standing(StrEnum):
    """Of a part that is not ordered yet, or of the payout that counts for it."""

    TO_COME = "to_come"
    TO_COME_BY_HAND = "to_come_by_hand"
    ORDERED = "ordered"
    # Its channel is not connected, or is the bank.
    BY_HAND = "by_hand"
    ON_ITS_WAY = "on_its_way"
    # The channel gave no clear answer: the console asks again by itself, or staff find out.
    CHECKED = "checked"
    CHECKED_BY_STAFF = "checked_by_staff"
    PAID = "paid"
    FAILED = "failed"
    CAME_BACK = "came_back"
    # It failed, or came back, and no other way was found.
    GIVEN_UP = "given_up"
    CAME_BACK_FOR_GOOD = "came_back_for_good"


# Nothing of the money is with the customer, and somebody has to see to it.
STILL_OWED = frozenset({Standing.FAILED, Standing.CAME_BACK})

_STANDINGS = {
    PayoutState.SENT: Standing.ON_ITS_WAY,
    PayoutState.UNKNOWN: Standing.CHECKED,
    PayoutState.PAID: Standing.PAID,
    PayoutState.FAILED: Standing.FAILED,
    PayoutState.RETURNED: Standing.CAME_BACK,
}


def standing_to_come(channel: str) -> Standing:
    """Of what has not been ordered yet."""
    return Standing.TO_COME if connected(channel) else Standing.TO_COME_BY_HAND


def standing_of(payout: Payout) -> Standing:
    """Of a payout that no other has taken the place of."""
    if payout.given_up_at:
        return Standing.CAME_BACK_FOR_GOOD if payout.returned_at else Standing.GIVEN_UP
    if payout.handed_over_at:
        return Standing.CHECKED_BY_STAFF
    if payout.state == PayoutState.ORDERED:
        return Standing.BY_HAND if is_with_staff(payout) else Standing.ORDERED
    return _STANDINGS[PayoutState(payout.state)]
