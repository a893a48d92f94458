"""What can stand in the way of an act on a certificate, each turned into a sentence at the edge."""

from datetime import date

from certificates.orders import PaymentLine


class CertificatesError(Exception):
    """Something asked of a certificate cannot be done."""


class CertificateHeld(CertificatesError):
    """The certificate is on hold for somebody else: a refund of it is under way. Carries the reference."""


class NotYourCertificate(CertificatesError):
    """The certificate is not the person's, or they are no longer active, or it was deleted."""


class WrongState(CertificatesError):
    """The certificate is not, or no longer, in a state for this. Carries it as it is now, in `certificate`."""

    def __init__(self, certificate: object) -> None:
        super().__init__(str(certificate))
        self.certificate = certificate


class NothingAwaited(CertificatesError):
    """No answer of an authority is awaited for this certificate."""


class NotAllowed(CertificatesError):
    """The person may not do this."""


class CannotEnd(CertificatesError):
    """The certificate's state does not lead to Refunded, whatever its dates say."""


class NotNamed(CertificatesError):
    """The name typed to confirm an act is not the certificate's."""


class NoContact(CertificatesError):
    """Neither the application's contact nor the account has an email address to confirm a revocation from."""


class RevocationUnderWay(CertificatesError):
    """The certificate has a live request for its revocation already: one certificate, one request."""


class TooManyLinks(CertificatesError):
    """As many links for one revocation were sent as ever are, or the last one only just. `wait` says which."""

    def __init__(self, certificate: object, *, wait: bool) -> None:
        super().__init__(str(certificate))
        self.wait = wait


class DeadLink(CertificatesError):
    """The link confirms nothing, or no longer. Carries its standing, a `certificates.links.Standing`."""

    def __init__(self, standing: str) -> None:
        super().__init__(standing)
        self.standing = standing


class RefundPossible(CertificatesError):
    """A refund of the certificate is under way (`until` is None), or can still be requested until a day."""

    def __init__(self, certificate: object, until: date | None) -> None:
        super().__init__(str(certificate))
        self.until = until


class NotForSale(CertificatesError):
    """The product has no price, or is unknown."""


class InvalidBasket(CertificatesError):
    """What no page lets through: a number of certificates or of names that cannot be bought."""


class VoucherRefused(CertificatesError):
    """The voucher cannot pay for this; `cause` says why. Unknown is also what another account's is."""

    UNKNOWN, USED, EXPIRED, CURRENCY, NOT_NEEDED = "unknown", "used", "expired", "currency", "not_needed"

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class CannotBeShared(CertificatesError):
    """The order's amounts can't be divided so that every share can be refunded through the channel that paid it.

    `payment` is one whose channel refunds multiples of `step` only, in minor units of `currency`. `cause` says what is
    in the way: this payment itself is no such multiple, a part would exceed its price, or the other payments are too
    small to carry what the steps leave over.
    """

    PAYMENT, PRICES, REMAINDERS = "payment", "prices", "remainders"

    def __init__(self, cause: str, payment: PaymentLine, step: int, currency: str) -> None:
        super().__init__(f"{cause}: {payment.channel} refunds in {currency} are multiples of {step}")
        self.cause, self.payment, self.step, self.currency = cause, payment, step, currency


class TermsChanged(CertificatesError):
    """The terms are not those agreed to. Carries those of now, in `quote`."""

    def __init__(self, quote: object) -> None:
        super().__init__(str(quote))
        self.quote = quote


class RenewedAlready(CertificatesError):
    """Another certificate is the renewal of this one already."""


class WillBeReissued(CertificatesError):
    """The certificate ends within what was bought: another one follows by itself, and there is nothing to renew."""


class NotProven(CertificatesError):
    """The application's domains are not proven yet."""


class KeyInUse(CertificatesError):
    """The key of an application serves another certificate already."""


class StillClosing(CertificatesError):
    """The application before this one is not closed at the authority yet."""


class NothingToDownload(CertificatesError):
    """The certificate was bought elsewhere, or nothing but its dates is known here."""


class PackageUnavailable(CertificatesError):
    """The package cannot be built of what is kept here. Carries why, a `certificates.packages.Obstacle`."""

    def __init__(self, obstacle: str) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


class KeyUnreadable(CertificatesError):
    """The private key that was made here cannot be opened, or is another certificate's."""


class AlreadyUploaded(CertificatesError):
    """The account has this very certificate already. Carries that one, in `certificate`."""

    def __init__(self, certificate: object) -> None:
        super().__init__(str(certificate))
        self.certificate = certificate
