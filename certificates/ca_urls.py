"""What the embedded authority publishes; its certificates carry these addresses, so they stay."""

from django.urls import path

from certificates.models import CaIssuer
from certificates.views import ca

urlpatterns = [
    path("chain.pem", ca.chain, name="ca_chain"),
    path("root.pem", ca.root, name="ca_root"),
    path("root.cer", ca.certificate, {"kind": CaIssuer.Kind.ROOT}, name="ca_root_der"),
    path("root.crl", ca.crl, {"kind": CaIssuer.Kind.ROOT}, name="ca_root_crl"),
    path("intermediate.cer", ca.certificate, {"kind": CaIssuer.Kind.INTERMEDIATE}, name="ca_intermediate_der"),
    path("intermediate.crl", ca.crl, {"kind": CaIssuer.Kind.INTERMEDIATE}, name="ca_intermediate_crl"),
    path("ocsp", ca.ocsp, name="ca_ocsp"),
    path("ocsp/", ca.ocsp),
    path("ocsp/<path:asked>", ca.ocsp),
]
