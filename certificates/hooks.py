"""What `certificates` tells whoever holds a certificate, and asks of them; the settings name the functions."""

from core.hooks import Hook

# Called with (certificate, at=…), the certificate locked, after an authority's answer was stored.
certificate_changed = Hook("CERTIFICATE_CHANGED")
# Called without anything: the names of the refund policies there are.
order_policies = Hook("ORDER_POLICIES")
