"""Uploading a certificate bought elsewhere: what is accepted, what is kept of it, and that the key is not."""

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, pkcs7
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client
from django.views.debug import ExceptionReporter

from certificates import private_keys
from certificates.chains import load_chain
from certificates.exceptions import AlreadyUploaded
from certificates.forms.uploading import MOST_BYTES, UploadForm
from certificates.models import Certificate, SearchTerm
from certificates.services.uploading import store_upload
from certificates.states import CertificateState
from certificates.views import uploading
from certificates.x509 import read_certificate
from core import audit
from core.models import User
from tests.conftest import signed_in
from tests.customer.pages import words
from tests.factories import NOON
from tests.lifecycle.inputs import FOLDER, INPUTS
from tests.lifecycle.old import UNCHECKED, unchecked_chain
from tests.lifecycle.packs import Chain, bought, chain_of, is_verified, new_key, pem_of, sign, text
from tests.races.running import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]

PANEL = "/upload/"
HTMX = {"HX-Request": "true"}


def typed(made: Chain | None = None, **fields: Any) -> dict[str, Any]:
    made = made or chain_of()
    return {"name": "Our shop", "chain": made.pem, "key": made.key_pem, **fields}


def uploaded(client: Client, **fields: Any) -> Certificate:
    answer = client.post(PANEL, typed(**fields))
    assert answer.status_code == 302, words(answer)
    certificate = Certificate.objects.get(source="uploaded")
    assert answer["Location"] == f"{PANEL}?done={certificate}"
    return certificate


def body_of(key: str) -> str:
    return key.splitlines()[1]


# --- What is accepted --------------------------------------------------------------------------


def test_customer_uploads_a_certificate(as_customer: Client, customer: User):
    made = chain_of()
    kept = uploaded(as_customer)
    assert (kept.account, kept.name, kept.state) == (customer, "Our shop", CertificateState.ISSUED)
    assert (kept.purchased_at, kept.issued_at, kept.not_after) == (NOON, NOON, made.leaf.not_valid_after_utc)
    assert (kept.paid_part, kept.order, kept.product) == (0, None, None)
    assert kept.pem == made.pem
    assert [each.name for each in kept.domains.all()] == ["shop.example.com", "www.shop.example.com"]
    [entry] = audit.history(kept)
    assert (entry.act, entry.by, entry.at) == ("uploaded", customer, NOON)
    assert entry.detail == {"serial": kept.serial, "fingerprint": kept.fingerprint}


def test_receipt_says_what_was_done_and_tells_the_list(as_customer: Client):
    receipt = as_customer.get(f"{PANEL}?done={uploaded(as_customer)}", headers=HTMX)
    assert "certificatesChanged" in json.loads(receipt["HX-Trigger"])
    assert "The certificate is in your list" in words(receipt)
    assert "notice--warning" not in receipt.content.decode()
    assert "HX-Trigger" not in as_customer.get(PANEL, headers=HTMX)


def test_list_finds_it_by_its_name_and_its_domains(as_customer: Client):
    uploaded(as_customer, name="Großer Laden")
    for search in ("großer", "shop.example", "example.com"):
        assert "Großer Laden" in words(as_customer.get("/", {"q": search}))
    assert "Großer Laden" not in words(as_customer.get("/", {"q": "laden.example"}))


def test_files_do_as_well_as_texts(as_customer: Client):
    made = chain_of()
    files = {
        "chain": "",
        "key": "",
        "chain_file": SimpleUploadedFile("chain.pem", made.pem.encode()),
        "key_file": SimpleUploadedFile("shop.key", made.key_pem.encode()),
    }
    assert uploaded(as_customer, **files).pem == made.pem


FROM_PEOPLE = [
    ("upload-t61-latin1-issuer.pem", "upload-key.pem"),
    ("upload-issuer-utf8-vs-printable.pem", "upload-key.pem"),
    ("upload-utf16-powershell.pem", "upload-key-utf16.pem"),
]


@pytest.mark.parametrize(("chain", "key"), FROM_PEOPLE)
def test_files_of_real_people_are_uploaded(as_customer: Client, chain: str, key: str, tmp_path: Path):
    """Names in Latin-1, a name in two encodings, and UTF-16; what is kept verifies."""
    files = {name: SimpleUploadedFile(f"{name}.pem", (FOLDER / file).read_bytes()) for name, file in _both(chain, key)}
    kept = uploaded(as_customer, chain="", key="", **files)
    assert [each.name for each in kept.domains.all()] == ["up.example.com"]
    leaf, issuer = load_chain(kept.pem)
    assert is_verified([leaf], issuer, tmp_path)
    receipt = as_customer.get(f"{PANEL}?done={kept}")
    assert receipt.status_code == 200
    assert "can't be checked" not in words(receipt)


@pytest.mark.parametrize(("chain", "key"), FROM_PEOPLE)
def test_texts_of_real_people_are_uploaded(as_customer: Client, chain: str, key: str):
    uploaded(as_customer, chain=INPUTS[chain], key=INPUTS[key])


def _both(chain: str, key: str) -> list[tuple[str, str]]:
    return [("chain_file", chain), ("key_file", key)]


@pytest.mark.parametrize("kind", UNCHECKED)
def test_chain_whose_links_cannot_be_checked_is_kept_as_it_came_and_said(
    as_customer: Client, kind: str, tmp_path: Path
):
    made = unchecked_chain(kind, tmp_path)
    kept = uploaded(as_customer, chain=made.pem, key=made.key)
    assert kept.pem == made.pem
    told = words(as_customer.get(f"{PANEL}?done={kept}"))
    for position in (1, 2):
        assert f"Whether certificate {position} is signed by certificate {position + 1} can't be checked" in told


def test_key_that_cannot_be_compared_is_said_so(as_customer: Client, tmp_path: Path):
    """The certificate's key is of a kind that isn't known here: nobody says that the keys don't belong together."""
    made = unchecked_chain("curve", tmp_path)
    page = as_customer.post(PANEL, typed(chain=made.between + made.root, key=made.key))
    assert page.status_code == 422
    assert "public key is of a kind that isn't known here" in words(page)


def test_pkcs7_is_uploaded_with_the_certificate_first(as_customer: Client):
    made = chain_of()
    packed = pkcs7.serialize_certificates([made.lower, made.root, made.leaf, made.upper], Encoding.PEM).decode()
    assert uploaded(as_customer, chain=packed).pem == made.pem + text(made.root)


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_keys_of_every_kind_and_writing_fit(as_customer: Client, kind: str, form: PrivateFormat):
    made = chain_of(kind=kind)
    if kind == "ed25519" and form != PrivateFormat.PKCS8:
        return
    uploaded(as_customer, chain=made.pem, key=pem_of(made.key, form))


def test_what_stands_around_the_blocks_is_no_matter(as_customer: Client):
    made = chain_of()
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    chain = "\ufeffBag Attributes\n  friendlyName: café\n" + made.pem.replace("\n", "\r\n") + "\n\n"
    key = parameters + made.key_pem.replace("\n", "\r\n")
    assert uploaded(as_customer, chain=chain, key=key).pem == made.pem


def test_key_may_stand_beside_its_certificate_in_the_key_field(as_customer: Client):
    made = chain_of()
    uploaded(as_customer, key=text(made.leaf) + made.key_pem)


def test_root_at_the_end_is_fine_and_kept(as_customer: Client):
    made = chain_of()
    assert uploaded(as_customer, chain=made.pem + text(made.root)).pem == made.pem + text(made.root)


def test_certificate_alone_is_fine(as_customer: Client):
    assert uploaded(as_customer, chain=text(chain_of().leaf)).pem == text(chain_of().leaf)


@pytest.mark.parametrize("name", ["a", "a" * 100, "Laden 商店 👩‍💻", "<script>alert(1)</script>", "  trimmed  "])
def test_name_may_hold_what_people_write(as_customer: Client, name: str):
    kept = uploaded(as_customer, name=name)
    assert kept.name == name.strip()
    assert "<script>alert" not in as_customer.get(f"/certificates/{kept}/").content.decode()


# --- Accepted with a warning -------------------------------------------------------------------


def receipt_of(client: Client, made: Chain) -> str:
    return words(client.get(f"{PANEL}?done={uploaded(client, chain=made.pem, key=made.key_pem)}"))


def test_expired_certificate_is_accepted_with_a_warning(as_customer: Client):
    said = receipt_of(as_customer, chain_of("old.example.com", days=9))
    assert "It has expired" in said
    assert "Expired" in words(as_customer.get("/"))


def test_certificate_that_is_not_valid_yet_is_accepted_with_a_warning(as_customer: Client):
    begins = NOON + timedelta(days=3)
    assert "It is not valid yet" in receipt_of(as_customer, chain_of("soon.example.com", begins=begins))
    assert Certificate.objects.get().not_before == begins


def test_certificate_for_no_domain_is_accepted_and_found_by_its_name(as_customer: Client):
    key = new_key()
    alone = sign("Jane Doe", key, "Jane Doe", key)
    kept = uploaded(as_customer, chain=text(alone), key=pem_of(key), name="Jane's")
    assert not kept.domains.exists()
    assert "for no domain name" in words(as_customer.get(f"{PANEL}?done={kept}"))
    assert "Jane's" in words(as_customer.get("/", {"q": "jane"}))
    assert as_customer.get(f"/certificates/{kept}/").status_code == 200


def test_certificate_of_an_authority_is_accepted_with_a_warning(as_customer: Client):
    """`openssl req -x509` makes its certificates so, and people do use them."""
    key = new_key()
    alone = sign("a.example.com", key, "a.example.com", key, names=("a.example.com",), ca=True)
    kept = uploaded(as_customer, chain=text(alone), key=pem_of(key))
    assert "may issue others" in words(as_customer.get(f"{PANEL}?done={kept}"))


def test_certificate_without_an_end_can_be_shown_everywhere(as_customer: Client, customer: User):
    made, key = chain_of(), new_key()
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    forever = sign("a.example.com", key, "Lower", made.lower_key, ends=end)
    kept = uploaded(as_customer, chain=text(forever, made.lower), key=pem_of(key))
    for zone in ("Asia/Shanghai", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        User.objects.filter(pk=customer.pk).update(time_zone=zone)
        for page in ("/", f"/certificates/{kept}/", f"{PANEL}?done={kept}"):
            assert "9999-12-3" in words(as_customer.get(page))


# --- Twice -------------------------------------------------------------------------------------


def test_same_certificate_twice_is_refused_with_a_link_to_the_first(as_customer: Client):
    first = uploaded(as_customer)
    made = chain_of()
    answer = as_customer.post(PANEL, typed(name="Again", chain=made.pem + text(made.root)))
    assert answer.status_code == 422
    assert f'<a href="/certificates/{first}/">Our shop</a>' in answer.content.decode()
    assert Certificate.objects.count() == 1


def test_name_of_the_first_is_escaped_in_that_link(as_customer: Client):
    uploaded(as_customer, name="<b>{link}%s</b>")
    assert "&lt;b&gt;{link}%s&lt;/b&gt;</a>" in as_customer.post(PANEL, typed()).content.decode()


def test_certificate_bought_here_is_not_uploaded_beside_it(as_customer: Client, customer: User):
    mine = bought(customer, chain_of())
    answer = as_customer.post(PANEL, typed())
    assert (answer.status_code, f"/certificates/{mine}/" in answer.content.decode()) == (422, True)


def test_deleted_one_may_come_again(as_customer: Client):
    first = uploaded(as_customer)
    Certificate.objects.filter(pk=first.pk).update(deleted_at=NOON)
    assert as_customer.post(PANEL, typed()).status_code == 302


def test_neighbour_may_have_the_same(as_customer: Client, neighbour: User):
    uploaded(as_customer)
    assert signed_in(neighbour).post(PANEL, typed()).status_code == 302
    assert Certificate.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_same_certificate_uploaded_at_once_is_kept_once(customer: User):
    handover = read_certificate(chain_of().pem)

    def act() -> Any:
        try:
            return store_upload(customer, handover, name="Our shop", at=NOON)
        finally:
            connection.close()

    outcomes = together(*[act] * 5)
    assert [type(each) for each in outcomes].count(AlreadyUploaded) == 4
    assert Certificate.objects.count() == 1


# --- The key goes nowhere ----------------------------------------------------------------------


def everything_stored() -> str:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        rows = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            rows.append(repr(cursor.fetchall()))
    return "\n".join(rows)


@pytest.mark.parametrize("comes_as", ["text", "file"])
@pytest.mark.parametrize("name", ["Our shop", ""])
def test_key_is_neither_stored_logged_nor_sent_back(
    as_customer: Client, comes_as: str, name: str, caplog: pytest.LogCaptureFixture
):
    key = chain_of().key_pem
    fields = {"key": "", "key_file": SimpleUploadedFile("a.key", key.encode())} if comes_as == "file" else {"key": key}
    with caplog.at_level(logging.DEBUG):
        answer = as_customer.post(PANEL, typed(name=name, **fields))
    assert answer.status_code == (302 if name else 422)
    assert body_of(key) not in answer.content.decode() + caplog.text + everything_stored()


def test_form_lets_go_of_the_key_once_it_has_read_it():
    form = UploadForm(typed())
    assert form.is_valid()
    assert set(form.cleaned_data) == {"name", "chain", "chain_file"}


@pytest.mark.parametrize("fields", [{"chain": "key"}, {"name": "key"}, {"chain": "both"}])
def test_key_in_the_wrong_field_is_not_sent_back_either(as_customer: Client, fields: dict[str, str]):
    made = chain_of()
    contents = {"key": made.key_pem, "both": made.pem + made.key_pem}
    answer = as_customer.post(PANEL, typed(**{field: contents[which] for field, which in fields.items()}))
    assert answer.status_code == 422
    assert body_of(made.key_pem) not in answer.content.decode()
    assert "not kept" in words(answer)


@pytest.mark.parametrize("comes_as", ["key", "key_file", "chain"])
@pytest.mark.parametrize("where", ["store_upload", "check_key", "_unreadable"])
def test_error_report_shows_no_key(
    customer: User, monkeypatch: pytest.MonkeyPatch, settings, comes_as: str, where: str
):
    """Django mails such reports; whatever breaks, and wherever, the key must not be in one."""
    made, reports = chain_of(), []

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken on purpose")

    target = {"store_upload": uploading, "check_key": sys.modules["certificates.forms.uploading"]}
    monkeypatch.setattr(target.get(where, private_keys), where if where != "_unreadable" else "_load", fail)

    def report(request: Any, **_: object) -> None:
        reports.append(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())
        reports.append(ExceptionReporter(request, *sys.exc_info()).get_traceback_text())

    contents = {
        "key": {"key": made.key_pem},
        "key_file": {"key": "", "key_file": SimpleUploadedFile("a.key", made.key_pem.encode())},
        # A key that nobody can tell for one: without its BEGIN line.
        "chain": {"chain": f"{body_of(made.key_pem)}\n{made.pem}"},
    }
    settings.DEBUG = False
    client = Client(raise_request_exception=False)
    client.force_login(customer)
    got_request_exception.connect(report)
    try:
        answer = client.post(PANEL, typed(**contents[comes_as]))
    finally:
        got_request_exception.disconnect(report)
    assert (answer.status_code, len(reports)) == (500, 2)
    for each in reports:
        assert "broken on purpose" in each
        assert body_of(made.key_pem) not in each


def test_large_files_never_touch_the_disk(as_customer: Client, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a file was written")

    monkeypatch.setattr("django.core.files.uploadedfile.TemporaryUploadedFile.__init__", fail)
    answer = as_customer.post(
        PANEL, typed(key="", key_file=SimpleUploadedFile("a.key", chain_of().key_pem.encode() + b" " * 1_500_000))
    )
    assert (answer.status_code, "256 KiB" in words(answer)) == (422, True)


def test_no_more_of_a_file_is_held_in_memory_than_is_read():
    handler = uploading.MemoryAlone()
    handler.new_file("key_file", "a.key", "text/plain", None)
    for start in range(0, 50 * 65_536, 65_536):
        assert handler.receive_data_chunk(b"x" * 65_536, start) is None
    assert MOST_BYTES < handler.file_complete(50 * 65_536).size <= MOST_BYTES + 65_536


# --- Who, and how it is asked ------------------------------------------------------------------


def test_stranger_is_sent_to_sign_in():
    for answer in (Client().get(PANEL), Client().post(PANEL, typed())):
        assert (answer.status_code, answer["Location"].startswith("/accounts/login/")) == (302, True)
    assert not Certificate.objects.exists()


def test_another_site_cannot_upload(customer: User):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(customer)
    assert strict.post(PANEL, typed()).status_code == 403
    assert not Certificate.objects.exists()
    token = strict.get(PANEL).content.decode().split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    assert strict.post(PANEL, typed(csrfmiddlewaretoken=token)).status_code == 302


def test_receipt_is_for_its_owner_and_for_uploads_alone(as_customer: Client, customer: User, neighbour: User):
    mine, others = bought(customer, chain_of()), bought(neighbour, chain_of(kind="rsa"))
    for done in (str(mine), str(others), "cas-cn-nothing", "%00", "a" * 1000):
        assert as_customer.get(PANEL, {"done": done}).status_code == 404


def test_form_is_drawer_and_page(as_customer: Client):
    for headers in ({}, HTMX):
        page = as_customer.get(PANEL, headers=headers).content.decode()
        assert ("<html" in page) is (headers == {})
        assert 'enctype="multipart/form-data"' in page
    assert as_customer.put(PANEL).status_code == 405


def test_uploaded_certificate_is_only_looked_at_and_deleted(as_customer: Client):
    kept = uploaded(as_customer)
    page = as_customer.get("/").content.decode()
    for act in ("download", "revoke", "refund", "renew", "apply"):
        assert f"/certificates/{kept}/{act}/" not in page
    assert SearchTerm.objects.filter(certificate=kept).count() < 20
