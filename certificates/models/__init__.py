from certificates.models.applications import Application, Enrollment
from certificates.models.authorities import AcmeAccount, CaIssuer, CaOrder
from certificates.models.catalogue import Product, Voucher
from certificates.models.certificates import Certificate, Domain, SearchTerm, new_instance_id, place_in_list
from certificates.models.orders import ImportedRow, Order, OrderPayment, Share
from certificates.models.revocations import Revocation

__all__ = [
    "AcmeAccount",
    "Application",
    "CaIssuer",
    "CaOrder",
    "Certificate",
    "Domain",
    "Enrollment",
    "ImportedRow",
    "Order",
    "OrderPayment",
    "Product",
    "Revocation",
    "SearchTerm",
    "Share",
    "Voucher",
    "new_instance_id",
    "place_in_list",
]
