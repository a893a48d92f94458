"""Which names may be applied for, and how they are kept and shown."""

import socket

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from certificates.names import LONGEST_NAME, UnfitName, UnfitNames, domain_name, names_of, shown
from certificates.states import DomainType
from certificates.storing import readable

LONG = ".".join(["a" * 60] * 4) + ".example.com"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("shop.example.com", "shop.example.com"),
        ("SHOP.Example.COM", "shop.example.com"),
        ("shop.example.com.", "shop.example.com"),
        ("*.Example.com", "*.example.com"),
        ("*.shop.example.com", "*.shop.example.com"),
        ("bücher.example.com", "xn--bcher-kva.example.com"),
        ("BÜCHER.example.com", "xn--bcher-kva.example.com"),
        ("*.bücher.example.com", "*.xn--bcher-kva.example.com"),
        ("xn--bcher-kva.example.com", "xn--bcher-kva.example.com"),
        ("XN--BCHER-KVA.example.com", "xn--bcher-kva.example.com"),
        ("straße.example.com", "xn--strae-oqa.example.com"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("ｓｈｏｐ．example。com", "shop.example.com"),
        ("me.github.io", "me.github.io"),
        ("*.me.github.io", "*.me.github.io"),
        ("github.io", "github.io"),
        ("*.github.io", "*.github.io"),
        ("*.BlogSpot.com.", "*.blogspot.com"),
        ("blogspot.co.uk", "blogspot.co.uk"),
        ("*.s3.amazonaws.com", "*.s3.amazonaws.com"),
        ("1.2.3.com", "1.2.3.com"),
        ("x1.shop-2.co.uk", "x1.shop-2.co.uk"),
        ("shop.test", "shop.test"),
        ("*.shop.test", "*.shop.test"),
        ("a" * 63 + ".example.com", "a" * 63 + ".example.com"),
    ],
)
def test_name_is_kept_lower_case_and_ascii(typed: str, kept: str) -> None:
    assert domain_name(typed) == kept


REFUSED = {
    "an IP address": [
        *("192.0.2.1", "192.0.2.1.", "::1", "[::1]", "[2001:db8::1]", "[::1]:443", "fe80::1%eth0", "2130706433"),
        *("0x7f000001", "0x7f.1", "127.1", "１２７.0.0.1", "127.0.0.１", "*.192.0.2.1", "::ffff:192.0.2.1", "shop.0x1"),
    ],
    "no name of the public Internet": [
        *(
            "localhost",
            "intranet",
            "shop.local",
            "shop.internal",
            "db.corp",
            "shop.localhost",
            "shop.example",
            "shop.invalid",
        ),
        *("*.local", "*.shop.internal"),
    ],
    "is a public suffix": ["com", "co.uk", "io", "com.", "COM", "test", "x.ck"],
    "would cover a whole public suffix": ["*.com", "*.co.uk", "*.io", "*.test", "*.x.ck", "*.CO.UK."],
    "a * may only stand once": ["*", "*shop.example.com", "s*p.example.com", "shop.*.example.com", "*.*.example.com"],
    "https://": ["https://shop.example.com", "shop.example.com/", "me@example.com", "http:shop.example.com/x"],
    "a dot too many": ["shop..example.com", ".shop.example.com", "*..example.com", "*.", "shop.example.com..", "."],
    "more than 63": ["a" * 64 + ".example.com"],
    "at most 253": [LONG, "a" * 100_000, "ü" * 300],
    "may hold only": [
        *("-shop.example.com", "shop-.example.com", "shop_1.example.com", "shop.example.com:443", "sh!op.example.com"),
        *("shop.exa'mple.com", "＊.example.com", "ab--cd.example.com", "<script>.example.com"),
    ],
    "no domain name may hold": [
        *(
            "☃.example.com",
            "sh\u200dop.example.com",
            "xn--zzzzzz.example.com",
            "xn--.example.com",
            "\ud800.example.com",
        ),
        *("sh\0op-ü.example.com", "xn--bücher.example.com", "א1a.example.com"),
    ],
}


@pytest.mark.parametrize(("typed", "why"), [(typed, why) for why, texts in REFUSED.items() for typed in texts])
def test_name_is_refused_with_a_sentence(typed: str, why: str) -> None:
    with pytest.raises(UnfitName, match="“") as refused:
        domain_name(typed)
    assert why in str(refused.value)
    named = typed if len(typed) <= LONGEST_NAME + 1 else f"{typed[:40]}…"
    assert f"“{named}”" in str(refused.value)


def test_name_of_the_demo_is_refused_outside_it() -> None:
    with override_settings(VERIFICATION_OWN_SUFFIX=""), pytest.raises(UnfitName, match="public Internet"):
        domain_name("shop.test")


def test_suffixes_are_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    assert domain_name("shop.never-seen-before.co.uk")


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        kept = domain_name(text)
    except UnfitName:
        return
    assert domain_name(kept) == kept
    assert shown(kept)


@given(st.text(alphabet="abü.*-,\n \0:1[]/", max_size=60), st.sampled_from(DomainType.values))
def test_any_text_is_names_or_refused(text: str, domain_type: str) -> None:
    try:
        assert names_of(text, domain_type, None)
    except UnfitNames as refused:
        assert refused.problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shop.example.com", "shop.example.com"),
        ("xn--bcher-kva.example.com", "bücher.example.com (xn--bcher-kva.example.com)"),
        ("*.xn--bcher-kva.example.com", "*.bücher.example.com (*.xn--bcher-kva.example.com)"),
        ("xn--zzzzzz.example.com", "xn--zzzzzz.example.com"),
    ],
)
def test_idn_is_shown_in_both_forms(name: str, text: str) -> None:
    assert shown(name) == text


# --- What was bought ---------------------------------------------------------------------------

SINGLE, WILDCARD, MULTI = DomainType.SINGLE, DomainType.WILDCARD, DomainType.MULTI


@pytest.mark.parametrize(
    ("text", "domain_type", "bought", "names"),
    [
        ("shop.example.com", SINGLE, 1, ["shop.example.com"]),
        ("shop.example.com\nwww.shop.example.com", SINGLE, 1, ["shop.example.com", "www.shop.example.com"]),
        ("www.example.com, example.com", SINGLE, None, ["www.example.com", "example.com"]),
        ("*.example.com", WILDCARD, 1, ["*.example.com"]),
        ("example.com *.example.com", WILDCARD, 1, ["example.com", "*.example.com"]),
        ("a.example.com;b.example.com\r\n\r\nc.example.com", MULTI, 3, [f"{x}.example.com" for x in "abc"]),
        (
            "a.example.com www.a.example.com b.example.com",
            MULTI,
            2,
            ["a.example.com", "www.a.example.com", "b.example.com"],
        ),
        ("  A.example.com.  ", MULTI, 2, ["a.example.com"]),
    ],
)
def test_names_match_what_was_bought(text: str, domain_type: str, bought: int | None, names: list[str]) -> None:
    assert names_of(text, domain_type, bought) == names


def test_hundred_names_fit_where_nobody_recorded_how_many() -> None:
    hundred = "\n".join(f"{n}.example.com" for n in range(100))
    assert len(names_of(hundred, MULTI, None)) == 100
    with pytest.raises(UnfitNames, match=r"100 names.*“100\.example\.com”"):
        names_of(f"{hundred}\n100.example.com", MULTI, None)


@pytest.mark.parametrize(
    ("text", "domain_type", "bought", "why"),
    [
        ("", SINGLE, 1, "Enter the domain name"),
        (" ,\n;", MULTI, 3, "Enter the domain name"),
        ("a.example.com b.example.com", SINGLE, 1, "“b.example.com” is one too many"),
        ("a.example.com b.example.com", SINGLE, 5, "“b.example.com” is one too many"),
        ("www.www.example.com example.com", SINGLE, 1, "“example.com” is one too many"),
        ("*.example.com", SINGLE, 1, "“*.example.com” is a wildcard"),
        ("a.example.com *.example.com", MULTI, 5, "“*.example.com” is a wildcard"),
        ("a.example.com b.example.com c.example.com", MULTI, 2, "“c.example.com” is one too many"),
        ("shop.example.com", WILDCARD, 1, "“shop.example.com” is no wildcard"),
        ("*.example.com *.example.net", WILDCARD, 1, "“*.example.net”: this certificate is for *.example.com alone"),
        ("*.example.com shop.example.com", WILDCARD, 1, "“shop.example.com”: this certificate is for"),
        ("*.example.com example.net", WILDCARD, 1, "“example.net”"),
        ("a.example.com A.example.com.", MULTI, 3, "“a.example.com” stands there twice"),
        ("bücher.de xn--bcher-kva.de", MULTI, 3, "“bücher.de (xn--bcher-kva.de)” stands there twice"),
        ("a.example.com 192.0.2.1", MULTI, 3, "“192.0.2.1” is an IP address"),
        (" ".join(f"{n}.example.com" for n in range(201)), MULTI, None, "too many names"),
    ],
)
def test_names_that_do_not_match_are_refused(text: str, domain_type: str, bought: int | None, why: str) -> None:
    with pytest.raises(UnfitNames) as refused:
        names_of(text, domain_type, bought)
    assert why in " ".join(refused.value.problems)


def test_every_bad_name_is_told_up_to_ten() -> None:
    with pytest.raises(UnfitNames) as refused:
        names_of(" ".join(f"bad_{n}.example.com" for n in range(30)), MULTI, None)
    assert len(refused.value.problems) == 10
    assert "bad_0" in refused.value.problems[0]


def test_a_name_is_found_as_people_write_it() -> None:
    assert readable("xn--fa-hia.example.com") == "faß.example.com"
    assert readable("*.xn--bcher-kva.example.com") == "*.bücher.example.com"
    assert readable("xn--nonsense-.example.com") == "xn--nonsense-.example.com"
