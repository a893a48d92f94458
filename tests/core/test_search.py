"""Looking up by beginnings, and the certificate search that stands on it."""

import pytest
from django.db import connection

from certificates.models import Certificate, SearchTerm
from certificates.storing import search_terms
from core.models import User
from tests import factories

pytestmark = pytest.mark.django_db


def bought(account: User, *names: str, **fields: str) -> Certificate:
    certificate = factories.certificate(account, domains=names, **fields)
    for text in search_terms(names):
        SearchTerm.objects.create(certificate=certificate, account=account, text=text)
    return certificate


def beginning(text: str) -> list[str]:
    return sorted(SearchTerm.objects.filter(text__begins_with=text).values_list("text", flat=True))


def found(account: User, text: str) -> list[str]:
    return sorted(Certificate.objects.owned_by(account).matching(account, text).values_list("name", flat=True))


# --- The look-up --------------------------------------------------------------------------------


@pytest.fixture
def terms(customer: User) -> None:
    certificate = factories.certificate(customer)
    for text in ("shop", "shopping", "Shop", "sho", "a%b", "a_b", "axb", "a\\b", "*.shop", "shoq", "sho\U0010ffff"):
        SearchTerm.objects.create(certificate=certificate, account=customer, text=text)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("shop", ["shop", "shopping"]),
        ("shopp", ["shopping"]),
        ("S", ["Shop"]),
        ("hop", []),
        ("a%", ["a%b"]),
        ("a_", ["a_b"]),
        ("a\\", ["a\\b"]),
        ("%", []),
        ("_", []),
        ("*", ["*.shop"]),
        ("?", []),
        ("'", []),
        ("shopping ", []),
    ],
)
def test_a_text_is_found_by_how_it_begins_and_wildcards_mean_nothing(terms: None, text: str, matches: list[str]):
    assert beginning(text) == matches


@pytest.fixture
def alone(terms: None) -> None:
    """The index is the only one that PostgreSQL has: with few rows it would rather take another, or none."""
    if connection.vendor == "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'certificates_searchterm' "
            "AND indexname NOT IN ('search_by_account', 'certificates_searchterm_pkey')"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")  # until the test is rolled back
        cursor.execute("SET LOCAL enable_seqscan = off")


def is_entered_at(plan: str, text: str) -> bool:
    """Whether the database enters the index of terms where they begin with `text`."""
    if connection.vendor == "sqlite":
        return "USING INDEX search_by_account (account_id=? AND text>? AND text<?)" in plan
    is_used = "Scan using search_by_account" in plan or "Scan on search_by_account" in plan
    return is_used and f"((text)::text ~>=~ '{text}'::text)" in plan


def test_the_look_up_enters_the_index_at_the_beginning(alone: None, customer: User):
    terms = SearchTerm.objects.filter(account=customer, text__begins_with="sho")
    assert is_entered_at(terms.explain(), "sho")


def test_the_search_enters_the_index_at_the_beginning(alone: None, customer: User):
    certificates = Certificate.objects.owned_by(customer).matching(customer, "SHO")
    assert is_entered_at(certificates.explain(), "sho")


# --- The search ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("shop", ["shop.example.com"]),
        ("SHOP.Exa", ["shop.example.com"]),
        ("  shop ", ["shop.example.com"]),
        ("example", ["*.example.net", "shop.example.com"]),
        ("pay", ["shop.example.com"]),  # a name beside the first
        ("com", ["shop.example.com"]),
        ("*.exam", ["*.example.net"]),
        ("*", ["*.example.net"]),
        ("hop", []),
        ("xample", []),
        ("shop%", []),
        ("shop_example", []),
        ("%", []),
    ],
)
def test_certificates_are_found_by_beginnings_of_names_and_labels(customer: User, text: str, names: list[str]):
    bought(customer, "shop.example.com", "pay.example.com")
    bought(customer, "*.example.net")
    assert found(customer, text) == names


def test_a_whole_instance_id_is_found_whatever_its_case(customer: User):
    wanted = bought(customer, "shop.example.com", instance_id="cas-sg-0123456789ab")
    bought(customer, "other.example.com", instance_id="cas-sg-0123456789ac")
    assert found(customer, "cas-sg-0123456789ab") == [wanted.name]
    assert found(customer, "CAS-SG-0123456789AB ") == [wanted.name]


@pytest.mark.parametrize("text", ["cas-sg-0123456789a", "cas-sg", "0123456789ab", "cas-sg-0123456789a_"])
def test_a_part_of_an_instance_id_finds_nothing(customer: User, text: str):
    bought(customer, "shop.example.com", instance_id="cas-sg-0123456789ab")
    assert found(customer, text) == []


def test_blanks_search_for_nothing(customer: User):
    bought(customer, "shop.example.com")
    assert found(customer, "   ") == ["shop.example.com"]


def test_a_certificate_is_found_once_however_often_it_matches(customer: User):
    bought(customer, "shop.example.com", "shopping.example.com")
    assert found(customer, "shop") == ["shop.example.com"]


def test_a_neighbours_certificates_are_never_found(customer: User, neighbour: User):
    theirs = bought(neighbour, "shop.example.com")
    assert found(customer, "shop") == found(customer, theirs.instance_id) == []
