"""From the order to the certificate, against a real ACME authority."""

import re
from dataclasses import replace
from functools import partial

import pytest
from acme.messages import STATUS_PROCESSING
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.utils import timezone

from certificates.authority.acme import AcmeAuthority
from certificates.authority.acme_client import Talk
from certificates.authority.base import AuthorityUnavailable, HandedIn, Issued, Refused, Waiting
from certificates.models import AcmeAccount
from certificates.states import Verification
from core.encryption import decrypt, encrypt
from tests.acme.conftest import use
from tests.acme.orders import (
    a_name,
    an_order,
    chain_of,
    csr_of,
    ec_key,
    end_of,
    hand_in,
    issue,
    names_of,
    prove,
    publish,
    rsa_key,
)
from tests.acme.pebble import BLOCKED, VALIDITY, running_pebble
from tests.lifecycle.packs import sign
from tests.races.running import together

pytestmark = [pytest.mark.xdist_group("pebble"), pytest.mark.django_db]


def now():
    return timezone.now()


@pytest.mark.parametrize("verification", Verification)
@pytest.mark.parametrize("make_key", [ec_key, rsa_key])
def test_customer_who_publishes_what_is_asked_gets_the_certificate(pebble, customer, verification, make_key):
    key = make_key()
    order, issued = issue(pebble, an_order(customer, verification=verification, key=key))
    leaf, *chain = chain_of(issued)
    assert names_of(leaf) == set(order.names)
    assert leaf.public_key() == key.public_key()
    assert leaf.not_valid_after_utc - now() < VALIDITY
    assert [each.subject for each in chain] == [leaf.issuer]


def test_root_that_the_authority_sends_along_is_left_out(pebble, customer, monkeypatch):
    plain, root = Talk.chain, x509.load_pem_x509_certificate(pebble.published("roots/0"))
    monkeypatch.setattr(Talk, "chain", lambda line, address: [*plain(line, address), root])
    _, issued = issue(pebble, an_order(customer))
    assert len(chain_of(issued)) == 2


def test_new_key_of_a_root_that_its_old_one_signed_is_kept(pebble, customer, monkeypatch):
    """Its two names are the same, as a root's are, but it isn't signed by itself."""
    plain, root = Talk.chain, x509.load_pem_x509_certificate(pebble.published("roots/0"))
    name = root.subject.rfc4514_string().removeprefix("CN=")
    rollover = sign(name, ec_key(), name, ec_key(), ca=True)
    monkeypatch.setattr(Talk, "chain", lambda line, address: [*plain(line, address), rollover, root])
    _, issued = issue(pebble, an_order(customer))
    assert chain_of(issued)[2:] == [rollover]


def test_wildcard_and_its_domain_are_proven_by_two_records_of_one_name(pebble, customer):
    name = a_name()
    order, challenges = hand_in(an_order(customer, name, f"*.{name}"))
    assert {each.name for each in challenges} == {name, f"*.{name}"}
    assert {each.place for each in challenges} == {f"_acme-challenge.{name}"}
    assert len({each.value for each in challenges}) == 2
    publish(pebble, challenges)
    AcmeAuthority().make_ready(order, at=now())
    issued = end_of(order)
    assert names_of(chain_of(issued)[0]) == {name, f"*.{name}"}


def test_file_stands_where_the_rfc_says_and_holds_token_and_key(pebble, customer):
    _, [challenge] = hand_in(an_order(customer, verification=Verification.FILE))
    place = re.fullmatch(r"/\.well-known/acme-challenge/([\w-]{22,})", challenge.place)
    assert re.fullmatch(rf"{place[1]}\.[\w-]{{43}}", challenge.value)


def test_wildcard_cannot_be_verified_by_file(pebble, customer):
    answer = AcmeAuthority().hand_in(an_order(customer, f"*.{a_name()}", verification=Verification.FILE), at=now())
    assert isinstance(answer, Refused)
    assert "in the way that was chosen" in answer.cause


@pytest.mark.parametrize("verification", Verification)
def test_wrong_proof_is_refused_in_words(pebble, customer, verification):
    order, challenges = hand_in(an_order(customer, verification=verification))
    publish(pebble, challenges, value="something-else")
    AcmeAuthority().make_ready(order, at=now())
    answer = end_of(order)
    assert isinstance(answer, Refused)
    assert answer.cause.startswith(f"What the certificate authority found for {order.names[0]} is not what was to be")
    assert "It says: “" in answer.cause
    assert "urn:" not in answer.cause


def test_missing_proof_is_refused(pebble, customer):
    order, _ = hand_in(an_order(customer))
    AcmeAuthority().make_ready(order, at=now())
    assert order.names[0] in end_of(order).cause


def test_order_that_nobody_let_the_authority_look_at_waits(pebble, customer):
    order, challenges = hand_in(an_order(customer))
    publish(pebble, challenges)
    assert AcmeAuthority().poll(order, at=now()) == Waiting(order.data)


def test_order_that_is_proven_is_accepted_and_then_issued(pebble, customer):
    order = prove(pebble, an_order(customer))
    answers = []

    def poll(order, *, at):
        answers.append(AcmeAuthority().poll(order, at=at))
        return answers[-1]

    end_of(order, poll)
    assert all(isinstance(each, Waiting) for each in answers[:-1])
    assert Waiting(order.data, accepted=True) in answers or len(answers) == 1


def test_authority_is_let_look_once_however_often_it_is_told(pebble, customer, monkeypatch):
    answered = []
    plain = Talk.answer
    monkeypatch.setattr(Talk, "answer", lambda talk, challenge: answered.append(challenge) or plain(talk, challenge))
    order = prove(pebble, an_order(customer))
    for _ in range(3):
        assert AcmeAuthority().make_ready(order, at=now()) == Waiting(order.data)
    assert isinstance(end_of(order), Issued)
    assert AcmeAuthority().make_ready(order, at=now()) == Waiting(order.data)
    assert len(answered) == 1


def test_authority_that_is_looking_already_is_not_told_again(pebble, customer, monkeypatch):
    order, _ = hand_in(an_order(customer))
    plain = Talk.authorization

    def being_looked_at(line, address):
        read = plain(line, address)
        return read.update(challenges=[each.update(status=STATUS_PROCESSING) for each in read.challenges])

    monkeypatch.setattr(Talk, "authorization", being_looked_at)
    monkeypatch.setattr(Talk, "answer", None)
    assert AcmeAuthority().make_ready(order, at=now()) == Waiting(order.data)


def test_answer_that_another_worker_gave_first_is_no_refusal(pebble, customer, monkeypatch):
    order, challenges = hand_in(an_order(customer))
    publish(pebble, challenges)
    plain = Talk.answer

    def be_second(talk, challenge):
        plain(talk, challenge)
        end_of(order, lambda order, *, at: _until_checked(talk, order))
        plain(talk, challenge)

    monkeypatch.setattr(Talk, "answer", be_second)
    assert AcmeAuthority().make_ready(order, at=now()) == Waiting(order.data)


def _until_checked(talk, order):
    [address] = order.data["authorizations"]
    return Waiting({}) if talk.authorization(address).status.name == "pending" else Refused("")


def test_killed_after_finalizing_gives_the_same_certificate(pebble, customer):
    """Nothing is stored in between: a worker that comes after sees what the first one saw."""
    order = prove(pebble, an_order(customer))
    first, second, third = (end_of(order) for _ in range(3))
    assert first == second == third
    assert isinstance(first, Issued)


def test_order_finalized_by_another_worker_meanwhile_is_followed(pebble, customer, monkeypatch):
    order = prove(pebble, an_order(customer))
    plain = Talk.finalize
    monkeypatch.setattr(Talk, "finalize", lambda *all_: plain(*all_) and plain(*all_))
    assert isinstance(end_of(order), Issued)


def test_killed_after_the_order_was_made_makes_another_and_one_certificate(pebble, customer):
    order = an_order(customer)
    lost = AcmeAuthority().hand_in(order, at=now())
    kept, challenges = hand_in(order)
    assert kept.data["order"] != lost.data["order"]
    publish(pebble, challenges)
    AcmeAuthority().make_ready(kept, at=now())
    assert isinstance(end_of(kept), Issued)


# --- What is refused ---------------------------------------------------------------------------


def test_csr_for_other_names_is_refused_before_anything_is_ordered(customer, settings):
    settings.ACME_DIRECTORY = ""
    name = a_name()
    for names in ((name, f"www.{name}"), (f"www.{name}",)):
        answer = AcmeAuthority().hand_in(an_order(customer, name, csr=csr_of(names)), at=now())
        assert isinstance(answer, Refused)
        assert answer.cause.endswith(f"must name exactly the domains of the application: {name}.")


def test_csr_in_capitals_is_the_same_name(pebble, customer):
    name = a_name()
    _, issued = issue(pebble, an_order(customer, name, csr=csr_of((name.upper(),))))
    assert {each.lower() for each in names_of(chain_of(issued)[0])} == {name}


def test_name_that_the_authority_does_not_serve_is_refused_in_words(pebble, customer):
    answer = AcmeAuthority().hand_in(an_order(customer, BLOCKED), at=now())
    assert isinstance(answer, Refused), answer
    assert answer.cause.startswith(
        "The certificate authority does not issue certificates for one of the names. It says"
    )
    assert BLOCKED in answer.cause


def test_name_that_is_none_is_refused_with_what_the_authority_says(pebble, customer):
    answer = AcmeAuthority().hand_in(an_order(customer, "shop_front.example.com"), at=now())
    assert isinstance(answer, Refused), answer
    assert answer.cause.startswith("The certificate authority has refused the application. It says: “Order included")


def test_order_that_the_authority_has_lost_is_refused(pebble, customer):
    order, _ = hand_in(an_order(customer))
    lost = replace(order, data={key: _elsewhere(value) for key, value in order.data.items()})
    for ask in (AcmeAuthority().make_ready, AcmeAuthority().poll):
        assert ask(lost, at=now()) == Refused(
            "The certificate authority no longer knows this order. Please hand in again."
        )


def _elsewhere(value):
    return {f"{each}0": name for each, name in value.items()} if isinstance(value, dict) else f"{value}0"


def test_certificate_of_another_key_is_never_taken_over(pebble, customer):
    """An authority may give one order to two applications for the same names."""
    order, _ = issue(pebble, an_order(customer))
    other = an_order(customer, *order.names)
    crossed = replace(other, data=order.data)
    answer = AcmeAuthority().poll(crossed, at=now())
    assert isinstance(answer, Refused)
    assert "another certificate of the same names" in answer.cause


# --- The account -------------------------------------------------------------------------------


def test_account_is_made_once_and_its_key_kept_encrypted(pebble, customer):
    hand_in(an_order(customer))
    first = AcmeAccount.objects.get()
    hand_in(an_order(customer))
    assert AcmeAccount.objects.values().get() == {
        "id": first.pk,
        "directory": pebble.directory,
        "address": first.address,
        "key": first.key,
    }
    assert "PRIVATE KEY" not in first.key
    assert b"PRIVATE KEY" in decrypt(first.key)


@pytest.mark.django_db(transaction=True)
def test_workers_that_begin_at_once_use_one_account(pebble, customer):
    made = [an_order(customer) for _ in range(4)]
    answers = together(*(partial(AcmeAuthority().hand_in, order, at=now()) for order in made))
    assert [type(each) for each in answers] == [HandedIn] * 4
    account = AcmeAccount.objects.get()
    assert account.address
    for order, answer in zip(made, answers, strict=True):
        publish(pebble, answer.challenges)
        known = replace(order, data=answer.data)
        AcmeAuthority().make_ready(known, at=now())
        assert isinstance(end_of(known), Issued)


def test_account_registered_by_another_worker_is_found_by_its_key(pebble, customer):
    hand_in(an_order(customer))
    address = AcmeAccount.objects.get().address
    AcmeAccount.objects.update(address="")
    hand_in(an_order(customer))
    assert AcmeAccount.objects.get().address == address


def test_account_that_the_authority_has_forgotten_is_registered_anew(pebble, customer, settings, tmp_path):
    hand_in(an_order(customer))
    with running_pebble(tmp_path) as new:
        use(new, settings)
        AcmeAccount.objects.update(directory=new.directory, key=encrypt(_key_that_it_does_not_know()))
        AcmeAccount.objects.update(address=new.directory.replace("/dir", "/my-account/1"))
        order = an_order(customer)
        with pytest.raises(AuthorityUnavailable, match="accountDoesNotExist"):
            AcmeAuthority().hand_in(order, at=now())
        assert isinstance(AcmeAuthority().hand_in(order, at=now()), HandedIn)


def _key_that_it_does_not_know():
    return ec_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
