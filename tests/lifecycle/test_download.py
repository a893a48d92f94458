"""Downloading: who may, in which states, what is given, what is recorded, and where passwords are seen."""

import json
import logging
import re
from datetime import timedelta
from html import unescape

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificates
from django.core import signing
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings
from time_machine import Traveller

from certificates.exceptions import (
    CertificateHeld,
    KeyUnreadable,
    NothingToDownload,
    NotYourCertificate,
    PackageUnavailable,
    WrongState,
)
from certificates.models import Application, CaIssuer, Certificate
from certificates.packages import KEYSTORES, Package
from certificates.services.downloading import download
from certificates.states import CertificateState, KeyType
from core import audit
from core.encryption import encrypt
from core.models import AuditEntry, User
from tests import factories
from tests.conftest import signed_in
from tests.factories import NOON
from tests.lifecycle.packs import bought, chain_of, is_file, named, new_key, pem_of, sign, text, unpacked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

HTMX = {"HX-Request": "true"}
_S = CertificateState


@pytest.fixture
def mine(customer: User) -> Certificate:
    return bought(customer, chain_of())


def panel(certificate: Certificate) -> str:
    return f"/certificates/{certificate.instance_id}/download/"


def address(certificate: Certificate, package: str) -> str:
    return f"{panel(certificate)}{package}/"


def sealed_in(page: HttpResponse) -> str:
    found = re.search(r'name="sealed" value="([^"]+)"', page.content.decode())
    assert found
    return unescape(found[1])


def password_on(page: HttpResponse) -> str:
    found = re.search(r'data-copy="([^"]+)"', page.content.decode())
    assert found
    return found[1]


def keystore(client: Client, certificate: Certificate, package: str) -> tuple[HttpResponse, str]:
    """The file of a keystore and its password, as a person gets them: two buttons."""
    page = client.post(address(certificate, package))
    assert page.status_code == 200
    assert not is_file(page)
    return client.post(address(certificate, package), {"sealed": sealed_in(page)}), password_on(page)


def disabled(page: HttpResponse) -> set[str]:
    """The packages whose button is dead."""
    forms = re.findall(r'action="[^"]*/download/(\w+)/".*?</form>', page.content.decode(), re.S)
    dead = re.findall(r'action="[^"]*/download/(\w+)/"(?:(?!</form>).)*? disabled', page.content.decode(), re.S)
    assert set(forms) == set(Package)
    return set(dead)


def nothing_recorded() -> bool:
    return not AuditEntry.objects.filter(act="downloaded").exists()


# --- What is given -----------------------------------------------------------------------------


@pytest.mark.parametrize("package", [each for each in Package if each not in {*KEYSTORES, Package.ROOT}])
def test_owner_gets_the_package_with_the_key_that_was_made_here(as_customer: Client, mine: Certificate, package: str):
    answer = as_customer.post(address(mine, package))
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert answer["Content-Disposition"] == f'attachment; filename="shop.example.com_{package}.zip"'
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    [key] = [content for name, content in unpacked(answer.content).items() if name.endswith(".key")]
    assert load_pem_private_key(key, None).public_key() == chain_of().key.public_key()


@pytest.mark.parametrize("package", list(KEYSTORES))
def test_owner_gets_a_keystore_and_its_password_apart(as_customer: Client, mine: Certificate, package: str):
    answer, password = keystore(as_customer, mine, package)
    assert is_file(answer)
    assert "no-store" in answer["Cache-Control"]
    [name] = [each for each in unpacked(answer.content) if each != "README.txt"]
    key, leaf, between = pkcs12.load_key_and_certificates(unpacked(answer.content)[name], password.encode())
    assert leaf == chain_of().leaf
    assert set(between) == {chain_of().lower, chain_of().upper}
    assert key.public_key() == leaf.public_key()


def test_each_keystore_has_a_password_of_its_own(as_customer: Client, mine: Certificate):
    passwords = {keystore(as_customer, mine, Package.TOMCAT)[1] for _each in range(3)}
    assert len(passwords) == 3


def test_page_with_the_password_is_kept_by_no_cache(as_customer: Client, mine: Certificate):
    assert "no-store" in as_customer.post(address(mine, "java"))["Cache-Control"]


def test_wildcard_and_idn_are_in_the_file_name(as_customer: Client, customer: User):
    for names, stem in ((("*.example.com",), "_.example.com"), (("xn--bcher-kva.example",), "xn--bcher-kva.example")):
        answer = as_customer.post(address(bought(customer, chain_of(*names)), "nginx"))
        assert answer["Content-Disposition"] == f'attachment; filename="{stem}_nginx.zip"'


def test_key_of_a_pasted_request_is_not_there_and_keystores_are_not_offered(as_customer: Client, customer: User):
    mine = bought(customer, chain_of(), key=False)
    page = as_customer.get(panel(mine))
    assert disabled(page) == {*KEYSTORES, Package.ROOT}
    assert "openssl pkcs12 -export -inkey your.key -in shop.example.com_nginx.pem" in page.content.decode()
    answer = as_customer.post(address(mine, "nginx"))
    assert b"PRIVATE KEY" not in b"".join(unpacked(answer.content).values())
    for package in KEYSTORES:
        refused = as_customer.post(address(mine, package))
        assert (refused.status_code, is_file(refused)) == (409, False)
        assert "reason stands beside it" in refused.content.decode()


def test_key_left_over_beside_a_pasted_request_is_not_given(as_customer: Client, mine: Certificate):
    Application.objects.filter(pk=mine.pk).update(key_type=KeyType.PASTED)
    answer = as_customer.post(address(mine, "nginx"))
    assert b"PRIVATE KEY" not in b"".join(unpacked(answer.content).values())


def test_imported_certificate_without_an_application_has_no_key(as_customer: Client, mine: Certificate):
    Application.objects.filter(pk=mine.pk).delete()
    answer = as_customer.post(address(mine, "apache"))
    assert (answer.status_code, is_file(answer)) == (200, True)
    assert disabled(as_customer.get(panel(mine))) == {*KEYSTORES, Package.ROOT}


# --- The root ----------------------------------------------------------------------------------


def test_root_of_our_own_authority_is_given(as_customer: Client, mine: Certificate):
    CaIssuer.objects.create(kind="root", pem=text(chain_of().root), key="x", created_at=NOON)
    assert disabled(as_customer.get(panel(mine))) == set()
    answer = as_customer.post(address(mine, "root"))
    assert answer["Content-Disposition"] == 'attachment; filename="shop.example.com_root.pem"'
    assert load_pem_x509_certificates(answer.content) == [chain_of().root]


def test_root_of_the_console_is_not_given_for_what_others_issued(as_customer: Client, mine: Certificate):
    CaIssuer.objects.create(kind="root", pem=text(chain_of("other.example.com").root), key="x", created_at=NOON)
    assert disabled(as_customer.get(panel(mine))) == {"root"}
    refused = as_customer.post(address(mine, "root"))
    assert (refused.status_code, is_file(refused)) == (409, False)
    assert nothing_recorded()


def test_root_at_the_end_of_the_chain_is_given_and_no_part_of_the_chain(as_customer: Client, customer: User):
    made = chain_of()
    mine = bought(customer, made, pem=made.pem + text(made.root))
    assert load_pem_x509_certificates(as_customer.post(address(mine, "root")).content) == [made.root]
    found = unpacked(as_customer.post(address(mine, "nginx")).content)
    path = load_pem_x509_certificates(found["shop.example.com_nginx.pem"])
    assert path == [made.leaf, made.lower, made.upper]


# --- Records -----------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["nginx", "apache", "other"])
def test_every_download_is_recorded(as_customer: Client, mine: Certificate, package: str):
    as_customer.post(address(mine, package))
    as_customer.post(address(mine, package))
    entries = audit.history(mine).filter(act="downloaded")
    assert [entry.detail for entry in entries] == [{"package": package, "holds_key": True}] * 2
    assert {(entry.by, entry.at) for entry in entries} == {(mine.account, NOON)}


def test_keystore_is_recorded_when_it_is_given_and_not_when_its_password_is_shown(
    as_customer: Client, mine: Certificate
):
    page = as_customer.post(address(mine, "iis"))
    assert nothing_recorded()
    as_customer.post(address(mine, "iis"), {"sealed": sealed_in(page)})
    [entry] = audit.history(mine).filter(act="downloaded")
    assert entry.detail == {"package": "iis", "holds_key": True}


def test_root_and_packages_without_a_key_are_recorded_as_such(as_customer: Client, customer: User):
    made = chain_of()
    mine = bought(customer, made, key=False, pem=made.pem + text(made.root))
    for package in ("root", "nginx"):
        as_customer.post(address(mine, package))
    assert [entry.detail["holds_key"] for entry in audit.history(mine).filter(act="downloaded")] == [False, False]


def test_neither_key_nor_password_is_stored_or_logged(
    as_customer: Client, mine: Certificate, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.DEBUG):
        _answer, password = keystore(as_customer, mine, "tomcat")
        as_customer.post(address(mine, "nginx"))
    body = chain_of().key_pem.splitlines()[1]
    kept = json.dumps([list(AuditEntry.objects.values_list("detail", "note")), dict(as_customer.session)], default=str)
    for secret in (password, body):
        assert secret not in kept + caplog.text


# --- Passwords ---------------------------------------------------------------------------------


def test_password_page_left_open_too_long_gives_a_new_password(
    as_customer: Client, mine: Certificate, frozen: Traveller
):
    page = as_customer.post(address(mine, "java"))
    frozen.shift(timedelta(minutes=15, seconds=1))
    again = as_customer.post(address(mine, "java"), {"sealed": sealed_in(page)})
    assert not is_file(again)
    assert "This is a new password" in again.content.decode()
    assert password_on(again) != password_on(page)
    assert nothing_recorded()


@pytest.mark.parametrize("sealed", ["", "x", "a:b:c", "\x00", "a" * 100_000, "é:é:é"])
def test_password_of_ones_own_making_is_not_taken(as_customer: Client, mine: Certificate, sealed: str):
    answer = as_customer.post(address(mine, "java"), {"sealed": sealed})
    assert (answer.status_code, is_file(answer)) == (200, False)
    assert nothing_recorded()


def test_password_serves_one_certificate_and_one_package(as_customer: Client, customer: User, mine: Certificate):
    other = bought(customer, chain_of("other.example.com"))
    sealed = sealed_in(as_customer.post(address(other, "java")))
    assert not is_file(as_customer.post(address(mine, "java"), {"sealed": sealed}))
    assert not is_file(as_customer.post(address(other, "tomcat"), {"sealed": sealed}))
    assert is_file(as_customer.post(address(other, "java"), {"sealed": sealed}))


def test_password_signed_for_something_else_is_not_taken(as_customer: Client, mine: Certificate):
    for content in (["x", "java", "weak"], [mine.instance_id, "java", "weak"]):
        foreign = signing.dumps(content, salt="another")
        assert not is_file(as_customer.post(address(mine, "java"), {"sealed": foreign}))


# --- When --------------------------------------------------------------------------------------


def in_state(account: User, state: str) -> Certificate:
    """A certificate with its PEM, whatever state it is in: only the state must keep it back."""
    held = {"revocation_requested_at": NOON, "revoked_at": NOON} if state in {_S.REVOKED, _S.REFUNDED} else {}
    first = _S.REVOKED if state == _S.REFUNDED else state
    mine = bought(account, chain_of(), state=first, **held)
    if state == _S.REFUNDED:
        mine.refund()
        mine.save()
    return mine


@pytest.mark.parametrize("state", [state for state in _S if state != _S.ISSUED])
@pytest.mark.parametrize("client", ["page", "drawer"])
def test_no_download_in_any_other_state(as_customer: Client, customer: User, state: str, client: str):
    mine = in_state(customer, state)
    headers = HTMX if client == "drawer" else {}
    assert as_customer.get(panel(mine), headers=headers).status_code == 409
    for package in Package:
        refused = as_customer.post(address(mine, package), headers=headers)
        assert (refused.status_code, is_file(refused)) == (409, False)
    with pytest.raises(WrongState):
        download(mine.pk, Package.NGINX, by=customer, at=NOON)
    assert nothing_recorded()


@pytest.mark.parametrize("days", [340, 366])
def test_pending_expiration_and_expired_are_downloaded(as_customer: Client, mine: Certificate, days: int, customer):
    at = mine.not_after - timedelta(days=365) + timedelta(days=days)
    assert download(mine.pk, Package.NGINX, by=customer, at=at).holds_key


def test_nothing_is_downloaded_while_a_refund_holds_it(as_customer: Client, customer: User, mine: Certificate):
    Certificate.objects.filter(pk=mine.pk).update(hold="R1")
    page = as_customer.get(panel(mine))
    assert page.status_code == 409
    assert "A refund of this certificate is under way" in page.content.decode()
    sealed = signing.dumps([mine.instance_id, "java", "x" * 24], salt="certificates.download")
    for package, typed in (("nginx", {}), ("java", {}), ("java", {"sealed": sealed})):
        refused = as_customer.post(address(mine, package), typed)
        assert (refused.status_code, is_file(refused)) == (409, False)
    with pytest.raises(CertificateHeld):
        download(mine.pk, Package.NGINX, by=customer, at=NOON)
    assert nothing_recorded()


def test_request_for_revocation_between_password_and_file_wins(as_customer: Client, mine: Certificate):
    sealed = sealed_in(as_customer.post(address(mine, "java")))
    certificate = Certificate.objects.get(pk=mine.pk)
    certificate.request_revocation()
    certificate.save()
    refused = as_customer.post(address(mine, "java"), {"sealed": sealed})
    assert (refused.status_code, is_file(refused)) == (409, False)


def test_expired_without_ever_being_issued_is_not_downloaded(as_customer: Client, customer: User):
    mine = factories.certificate(customer, bought=timedelta(days=400))
    assert as_customer.get(panel(mine)).status_code == 409
    assert as_customer.post(address(mine, "nginx")).status_code == 409


def test_certificate_of_which_only_the_dates_are_known_is_not_downloaded(as_customer: Client, customer: User):
    mine = factories.issued(customer)
    page = as_customer.get(panel(mine))
    assert (page.status_code, "Only the dates" in page.content.decode()) == (409, True)
    assert as_customer.post(address(mine, "nginx")).status_code == 409
    with pytest.raises(NothingToDownload):
        download(mine.pk, Package.NGINX, by=customer, at=NOON)


def test_uploaded_certificate_is_not_downloaded(as_customer: Client, mine: Certificate, customer: User):
    Certificate.objects.filter(pk=mine.pk).update(source="uploaded")
    page = as_customer.get(panel(mine))
    assert (page.status_code, "bought elsewhere" in page.content.decode()) == (409, True)
    with pytest.raises(NothingToDownload):
        download(mine.pk, Package.NGINX, by=customer, at=NOON)


# --- Who ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", list(Package))
def test_neighbour_finds_nothing(neighbour: User, mine: Certificate, package: str):
    client = signed_in(neighbour)
    sealed = signing.dumps([mine.instance_id, package, "x" * 24], salt="certificates.download")
    assert client.get(panel(mine)).status_code == 404
    assert client.post(address(mine, package), {"sealed": sealed}).status_code == 404
    with pytest.raises(NotYourCertificate):
        download(mine.pk, Package(package), password="x", by=neighbour, at=NOON)
    assert nothing_recorded()


def test_staff_find_nothing_either(reviewer: User, mine: Certificate):
    assert signed_in(reviewer).post(address(mine, "nginx")).status_code == 404


def test_stranger_is_sent_to_sign_in(mine: Certificate):
    for answer in (Client().get(panel(mine)), Client().post(address(mine, "nginx"))):
        assert (answer.status_code, answer["Location"].startswith("/accounts/login/")) == (302, True)


def test_deleted_certificate_is_gone(as_customer: Client, customer: User, mine: Certificate):
    Certificate.objects.filter(pk=mine.pk).update(deleted_at=NOON)
    assert as_customer.post(address(mine, "nginx")).status_code == 404
    with pytest.raises(NotYourCertificate):
        download(mine.pk, Package.NGINX, by=customer, at=NOON)


def test_another_site_cannot_make_the_browser_download(customer: User, mine: Certificate):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(customer)
    for package in Package:
        assert strict.post(address(mine, package)).status_code == 403
    assert nothing_recorded()


@pytest.mark.parametrize("package", ["pfx", "NGINX", "nginx2", "..", "%00", "a" * 300])
def test_unknown_package_is_not_found(as_customer: Client, mine: Certificate, package: str):
    assert as_customer.post(address(mine, package)).status_code in {400, 404}


def test_looking_gives_no_file_and_records_nothing(as_customer: Client, mine: Certificate):
    for package in Package:
        answer = as_customer.get(address(mine, package))
        assert (answer.status_code, answer["Location"]) == (302, panel(mine))
    assert as_customer.get(panel(mine)).status_code == 200
    assert as_customer.head(panel(mine)).status_code == 200
    assert as_customer.post(panel(mine)).status_code == 405
    assert nothing_recorded()


# --- Drawer and page ---------------------------------------------------------------------------


def test_drawer_leaves_files_to_the_browser(as_customer: Client, mine: Certificate):
    page = as_customer.get(panel(mine), headers=HTMX).content.decode()
    assert "<html" not in page
    for package in Package:
        [form] = re.findall(rf'<form[^>]*action="{address(mine, package)}"[^>]*>', page)
        assert ('hx-boost="false"' in form) is (package not in KEYSTORES)
    password = as_customer.post(address(mine, "iis"), headers=HTMX).content.decode()
    assert "<html" not in password
    assert re.search(r'<form[^>]*hx-boost="false"', password)


# --- Keys that cannot be opened ----------------------------------------------------------------


def unreadable(client: Client, certificate: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.post(address(certificate, "nginx"))
    assert (answer.status_code, is_file(answer)) == (409, False)
    assert "cannot be opened" in answer.content.decode()
    assert str(certificate) in caplog.text
    assert nothing_recorded()
    with pytest.raises(KeyUnreadable):
        download(certificate.pk, Package.OTHER, by=certificate.account, at=NOON)


def test_key_under_a_lost_encryption_key_is_no_fault_of_the_page(
    as_customer: Client, mine: Certificate, settings: Settings, caplog: pytest.LogCaptureFixture
):
    settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    unreadable(as_customer, mine, caplog)
    settings.KEY_ENCRYPTION_KEYS = []
    unreadable(as_customer, mine, caplog)


@pytest.mark.parametrize("kept", [pem_of(new_key()), "no key at all", ""])
def test_key_of_another_certificate_is_never_given(
    as_customer: Client, mine: Certificate, kept: str, caplog: pytest.LogCaptureFixture
):
    Application.objects.filter(pk=mine.pk).update(key=encrypt(kept.encode()))
    unreadable(as_customer, mine, caplog)


def test_service_refuses_what_the_panel_does_not_offer(customer: User):
    mine = bought(customer, chain_of(), key=False)
    for package in (*KEYSTORES, Package.ROOT):
        with pytest.raises(PackageUnavailable):
            download(mine.pk, package, password="x", by=customer, at=NOON)
    assert nothing_recorded()


def test_self_signed_certificate_is_downloaded(as_customer: Client, customer: User):
    key = new_key()
    alone = sign("a.example.com", key, "a.example.com", key, names=("a.example.com",))
    assert alone.issuer == named("a.example.com")
    mine = bought(customer, chain_of(), pem=text(alone), key=False)
    found = unpacked(as_customer.post(address(mine, "nginx")).content)
    assert load_pem_x509_certificates(found["a.example.com_nginx.pem"]) == [alone]
