"""An authority that does not answer as it should: everything waits, and staff read why."""

import json

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from certificates.authority import acme_client
from certificates.authority.acme import AcmeAuthority
from certificates.authority.base import AuthorityUnavailable, Issued, Refused
from certificates.models import AcmeAccount
from tests.acme.conftest import use
from tests.acme.orders import an_order, hand_in, issue
from tests.acme.pebble import free_port, make_tls_pair, running_pebble
from tests.acme.publisher import publishing

pytestmark = [pytest.mark.xdist_group("pebble"), pytest.mark.django_db]


def trouble_of(order) -> str:
    """What staff read when an order is handed in."""
    with pytest.raises(AuthorityUnavailable) as trouble:
        AcmeAuthority().hand_in(order, at=timezone.now())
    assert "PRIVATE KEY" not in str(trouble.value)
    return str(trouble.value)


def test_console_without_a_directory_says_which_setting_is_missing(customer, settings):
    settings.ACME_DIRECTORY = ""
    assert "ACME_DIRECTORY is not set" in trouble_of(an_order(customer))


def test_console_without_encryption_keys_keeps_no_account(pebble, customer, settings):
    settings.KEY_ENCRYPTION_KEYS = []
    assert "KEY_ENCRYPTION_KEYS" in trouble_of(an_order(customer))
    assert not AcmeAccount.objects.exists()


def test_console_whose_encryption_key_is_lost_says_so(pebble, customer, settings):
    hand_in(an_order(customer))
    settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert "encrypted with none of KEY_ENCRYPTION_KEYS" in trouble_of(an_order(customer))


def test_authority_that_is_down_is_tried_again_later(pebble, customer, settings):
    settings.ACME_DIRECTORY = f"https://127.0.0.1:{free_port()}/dir"
    assert "ConnectionError" in trouble_of(an_order(customer))


def test_authority_that_goes_down_keeps_what_is_under_way(pebble, customer, settings, tmp_path):
    with running_pebble(tmp_path) as mortal:
        use(mortal, settings)
        order, issued = issue(mortal, an_order(customer))
    authority = AcmeAuthority()
    for ask in (authority.make_ready, authority.poll, authority.close):
        with pytest.raises(AuthorityUnavailable):
            ask(order, at=timezone.now())
    with pytest.raises(AuthorityUnavailable):
        authority.revoke(order, issued.pem, "superseded", at=timezone.now())


def test_authority_is_not_trusted_but_by_its_own_root(pebble, customer, settings, tmp_path):
    settings.ACME_TRUST = str(make_tls_pair(tmp_path))
    assert "SSLError" in trouble_of(an_order(customer))
    settings.ACME_TRUST = ""
    assert "SSLError" in trouble_of(an_order(customer))


def test_trust_that_is_no_file_is_said(pebble, customer, settings):
    settings.ACME_TRUST = "/nonexistent/roots.pem"
    assert "/nonexistent/roots.pem" in trouble_of(an_order(customer))


def test_directory_at_the_wrong_place_is_said_and_refuses_nobody(pebble, customer, settings):
    settings.ACME_DIRECTORY = pebble.directory + "ectory"
    assert f"No account at {settings.ACME_DIRECTORY}" in trouble_of(an_order(customer))


def test_refused_nonces_are_survived(customer, settings, tmp_path):
    with running_pebble(tmp_path, PEBBLE_WFE_NONCEREJECT="25") as forgetful:
        use(forgetful, settings)
        _, issued = issue(forgetful, an_order(customer))
    assert isinstance(issued, Issued)


def test_contact_that_the_authority_does_not_take_is_for_staff(pebble, customer, settings):
    settings.ACME_CONTACT = "no address"
    assert "ontact" in trouble_of(an_order(customer))


# --- Another authority's words -----------------------------------------------------------------


@pytest.fixture
def publisher():
    with publishing() as made:
        yield made


@pytest.fixture
def stage(publisher, settings, keys):
    """An authority that knows us and answers an order as told: (content, status)."""
    directory = {each: f"{publisher.address}/{each}" for each in ("newNonce", "newAccount", "newOrder", "revokeCert")}
    nonce = {"Replay-Nonce": "bm9uY2U"}
    publisher.put("/dir", json.dumps(directory).encode())
    publisher.put("/newNonce", b"", **nonce)
    publisher.put("/newAccount", b"{}", status=201, Location=f"{publisher.address}/account", **nonce)
    settings.ACME_DIRECTORY = f"{publisher.address}/dir"

    def answer(content: bytes, status: int = 400) -> None:
        publisher.put("/newOrder", content, status=status, **nonce)

    return answer


def problem(code: str, **fields) -> bytes:
    return json.dumps({"type": f"urn:ietf:params:acme:error:{code}", **fields}).encode()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("rateLimited", 429),
        ("serverInternal", 500),
        ("badNonce", 400),
        ("unauthorized", 403),
        ("userActionRequired", 403),
        ("externalAccountRequired", 400),
        ("malformed", 503),
        ("rejectedIdentifier", 502),
    ],
)
def test_problem_that_may_pass_is_for_staff(stage, customer, code, status):
    stage(problem(code, detail="come back later"), status)
    assert "come back later" in trouble_of(an_order(customer))


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 200),
        (b"", 500),
        (b"<h1>Bad gateway</h1>", 502),
        (b"[]", 201),
        (b"null", 201),
        (b"{}", 201),
        (b'{"status": "a new one"}', 201),
        (b'{"authorizations": 7}', 201),
        (b'{"authorizations": ["nowhere"]}', 201),
        (b'"text"', 400),
        (b"[]", 400),
        (b'{"type": 7, "subproblems": [7]}', 400),
        (b"\xff\x00" * 100, 201),
        (b"x" * (acme_client.LONGEST_ANSWER + 1), 201),
    ],
)
def test_nonsense_is_for_staff(stage, publisher, customer, content, status):
    stage(content, status)
    assert trouble_of(an_order(customer))
    assert publisher.asked[-1] == "/newOrder"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"status": "pending", "challenges": []},
        {"status": "pending", "identifier": {"type": "dns", "value": "shop.example.com"}},
        {"identifier": {"type": "dns", "value": "shop.example.com"}, "challenges": []},
        {"status": "pending", "identifier": {"type": "dns", "value": "shop.example.com"}, "challenges": [7]},
    ],
)
def test_authorization_that_lacks_something_is_for_staff(stage, publisher, customer, content):
    address = f"{publisher.address}/authorization"
    publisher.put("/authorization", json.dumps(content).encode(), **{"Replay-Nonce": "bm9uY2U"})
    publisher.put(
        "/newOrder",
        json.dumps({"status": "pending", "authorizations": [address]}).encode(),
        status=201,
        **{"Replay-Nonce": "bm9uY2U", "Location": f"{publisher.address}/order"},
    )
    assert trouble_of(an_order(customer))
    assert publisher.asked[-1] == "/authorization"


def test_refusal_of_one_of_several_names_says_which(stage, customer):
    rejected = {
        "type": "urn:ietf:params:acme:error:rejectedIdentifier",
        "detail": "on our\x00 list\n of names",
        "identifier": {"type": "dns", "value": "bad.example.com"},
    }
    stage(problem("compound", detail="several", subproblems=[rejected]))
    answer = AcmeAuthority().hand_in(an_order(customer), at=timezone.now())
    assert answer == Refused(
        "The certificate authority does not issue certificates for bad.example.com. It says: “on our list of names”"
    )


def test_refusal_of_one_name_is_tried_again_when_another_failed_for_a_passing_reason(stage, customer):
    types = ("rejectedIdentifier", "rateLimited")
    several = [{"type": f"urn:ietf:params:acme:error:{each}"} for each in types]
    stage(problem("compound", subproblems=several))
    assert trouble_of(an_order(customer))


def test_authority_that_never_ends_its_answers_is_given_up_within_a_jobs_lease(stage, customer, monkeypatch):
    seconds = iter(range(0, 1000, 15))
    monkeypatch.setattr("certificates.authority.calls.time.monotonic", lambda: next(seconds))
    stage(b"{}", 201)
    assert "took too long altogether" in trouble_of(an_order(customer))
