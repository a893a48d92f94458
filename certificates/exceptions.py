class CertificatesError(Exception):
    """Something asked of a certificate cannot be done."""


class CertificateHeld(CertificatesError):
    """The certificate is on hold for somebody else."""


class NothingAwaited(CertificatesError):
    """No answer of an authority is awaited for this certificate."""


class NotAllowed(CertificatesError):
    """The person may not do this."""


class CannotEnd(CertificatesError):
    """The certificate's state does not lead to Refunded, whatever its dates say."""
