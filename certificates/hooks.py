"""What `certificates` tells whoever holds a certificate; the setting names the function."""

from core.hooks import Hook

# Called with (certificate, at=…), the certificate locked, after an authority's answer was stored.
certificate_changed = Hook("CERTIFICATE_CHANGED")
