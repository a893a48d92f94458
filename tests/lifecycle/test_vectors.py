"""Real-world oddities, from cryptography's own test vectors: whatever is uploaded, nothing breaks."""

from base64 import encodebytes
from collections import Counter
from functools import cache
from pathlib import Path

import cryptography_vectors
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.http import QueryDict
from django.test import Client
from django.utils.datastructures import MultiValueDict

from certificates.chains import BrokenChain, check_chain, load_chain, path_of
from certificates.exceptions import AlreadyUploaded
from certificates.foreign import is_authority
from certificates.forms.uploading import UploadForm
from certificates.models import Certificate
from certificates.private_keys import UnusableKey, check_key
from certificates.services.uploading import store_upload
from certificates.x509 import Handover, UnreadableCertificate, read_certificate
from core.models import User
from tests.factories import NOON
from tests.lifecycle.packs import chain_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("frozen"),
    # The vectors break rules that the library means to enforce one day.
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PANEL = "/upload/"
VECTORS = Path(cryptography_vectors.__file__).parent
ENDINGS = {".pem", ".der", ".crt", ".cer", ".key", ".pub", ".p12", ".p7b", ".crl", ".txt"}
# Every so many of the files go by HTTP too.
EVERY = 25


@cache
def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((VECTORS / folder).rglob("*")) if path.suffix in ENDINGS]
    return [path for path in found if path.stat().st_size < 300_000]


def in_pem(content: bytes, label: str = "CERTIFICATE") -> str:
    """As it is where it is text, else in the armour that whoever converted it would have given it."""
    if b"-----BEGIN" in content:
        return content.decode("ascii", "replace")
    return f"-----BEGIN {label}-----\n{encodebytes(content).decode()}-----END {label}-----\n"


def name_of(path: Path) -> str:
    return str(path.relative_to(VECTORS))


def readable() -> dict[str, Handover]:
    """What the reader takes for a certificate, each certificate once."""
    found: dict[str, Handover] = {}
    for path in files("x509", "pkcs7"):
        try:
            found.setdefault(*_by_fingerprint(read_certificate(in_pem(path.read_bytes()))))
        except UnreadableCertificate:
            continue
    return found


def _by_fingerprint(handover: Handover) -> tuple[str, Handover]:
    return handover.fingerprint, handover


def test_reader_answers_every_file():
    """It raises nothing but UnreadableCertificate, and reads what is readable."""
    read: Counter[bool] = Counter()
    for path in files("x509", "pkcs7"):
        try:
            handover = read_certificate(in_pem(path.read_bytes()))
        except UnreadableCertificate:
            read[False] += 1
            continue
        read[True] += 1
        chain = load_chain(handover.pem)
        assert chain[0] in path_of(chain), path
        assert is_authority(chain[0]) in {True, False}
        try:
            check_chain(chain)
        except BrokenChain as error:
            assert str(error)
    assert read[True] > 400
    assert read[False] > 100


def test_form_answers_every_file_as_a_text_and_as_a_file():
    key = chain_of().key_pem
    for path in files("x509", "pkcs7"):
        content = path.read_bytes()
        by_file = MultiValueDict({"chain_file": [SimpleUploadedFile(path.name, content)]})
        typed = QueryDict(mutable=True)
        typed.update({"name": path.name, "key": key})
        by_text = typed.copy()
        by_text["chain"] = in_pem(content)
        for form in (UploadForm(typed, by_file), UploadForm(by_text, MultiValueDict())):
            # None of them belongs to this key.
            assert not form.is_valid(), path
            assert set(form.errors) <= {"name", "chain", "chain_file", "key"}, path


def test_key_check_answers_every_file():
    certificate = chain_of().leaf
    found: Counter[str] = Counter()
    for path in files("asymmetric"):
        content = path.read_bytes()
        for label in ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"):
            try:
                check_key(in_pem(content, label), None)
                found["a key"] += 1
            except UnusableKey as error:
                found[str(error)[:20]] += 1
            with pytest.raises(UnusableKey):
                check_key(in_pem(content, label), certificate)
    assert found["a key"] > 100
    assert len(found) >= 4


def test_form_answers_every_key_as_a_file():
    chain = chain_of().pem
    for path in files("asymmetric"):
        sent = MultiValueDict({"key_file": [SimpleUploadedFile(path.name, path.read_bytes())]})
        typed = QueryDict(mutable=True)
        typed.update({"name": "a", "chain": chain})
        form = UploadForm(typed, sent)
        assert set(form.errors) == {"key_file"}, path


def test_every_readable_certificate_can_be_stored_and_its_pages_shown(as_customer: Client, customer: User):
    handovers = readable()
    assert len(handovers) > 300
    with transaction.atomic():
        kept = [store_upload(customer, each, name="vector", at=NOON) for each in handovers.values()]
    assert Certificate.objects.count() == len(kept)
    with pytest.raises(AlreadyUploaded):
        store_upload(customer, next(iter(handovers.values())), name="again", at=NOON)
    address, pages = "/", 0
    while address:
        page = as_customer.get(address)
        assert page.status_code == 200
        older = page.context["page"].older
        address, pages = (f"/{page.context['page'].older_address}" if older else ""), pages + 1
    assert pages == -(-len(kept) // 20)
    odd = [each for each in kept if _is_odd(each)]
    for each in [*odd[:40], *kept[::EVERY]]:
        assert as_customer.get(f"/certificates/{each}/").status_code == 200
        assert as_customer.get(f"{PANEL}?done={each}").status_code == 200


def _is_odd(kept: Certificate) -> bool:
    years = {kept.not_before.year, kept.not_after.year}
    return not kept.domains.exists() or len(kept.serial) > 40 or min(years) < 1990 or max(years) > 2100


@pytest.mark.parametrize("path", files("x509", "pkcs7")[::EVERY], ids=name_of)
def test_certificates_by_http(as_customer: Client, path: Path):
    content = path.read_bytes()
    made = chain_of()
    as_text = {"name": path.name, "chain": in_pem(content), "key": made.key_pem}
    assert as_customer.post(PANEL, as_text).status_code == 422
    as_file = {"name": path.name, "chain_file": SimpleUploadedFile(path.name, content), "key": made.key_pem}
    assert as_customer.post(PANEL, as_file).status_code == 422


@pytest.mark.parametrize("path", files("asymmetric")[:: EVERY // 3], ids=name_of)
def test_keys_by_http(as_customer: Client, path: Path):
    made, content = chain_of(), path.read_bytes()
    as_text = {"name": path.name, "chain": made.pem, "key": in_pem(content, "PRIVATE KEY")}
    assert as_customer.post(PANEL, as_text).status_code == 422
    as_file = {"name": path.name, "chain": made.pem, "key_file": SimpleUploadedFile(path.name, content)}
    assert as_customer.post(PANEL, as_file).status_code == 422


def test_vector_with_its_own_key_is_uploaded(as_customer: Client):
    folder = VECTORS / "x509" / "custom" / "ca"
    typed = {"name": "vector", "chain": (folder / "ca.pem").read_text(), "key": (folder / "ca_key.pem").read_text()}
    assert as_customer.post(PANEL, typed).status_code == 302
