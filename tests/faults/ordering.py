"""`python -m tests.faults.ordering REFERENCE AMOUNT`: order a refund to a card, on whatever database is set."""

import sys

import django


def order(reference: str, amount: int) -> None:
    from payments.models import Payment
    from tests import factories

    wanted = factories.certificate(factories.UserFactory(), payments={"card": amount})
    Payment.objects.update(reference=reference)
    factories.submit(wanted)


if __name__ == "__main__":
    django.setup()
    order(sys.argv[1], int(sys.argv[2]))
