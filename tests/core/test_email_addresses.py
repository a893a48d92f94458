"""The one form in which email addresses are stored and compared, and how people see them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.email_addresses import BadEmail, normalize_email, shown_email

MUNICH = "info@xn--mnchen-3ya.example"


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("reset8@example.org", "reset8@example.org"),
        ("Reset8@Example.ORG", "reset8@example.org"),
        ("  reset8@example.org\n", "reset8@example.org"),
        ("\u202dreset8@example.org\u202c", "reset8@example.org"),
        ("reset8@exa\u00admple.org", "reset8@example.org"),
        ("reset8\u200b@example.org\u00a0", "reset8@example.org"),
        ("reset8\0@example.org", "reset8@example.org"),
        ("ｒｅｓｅｔ８＠ｅｘａｍｐｌｅ．ｏｒｇ", "reset8@example.org"),
        ("\u212aelvin@example.org", "kelvin@example.org"),
        ("Li.Wei+certs@Example.com", "li.wei+certs@example.com"),
        ("o'brien_{x}@example.com", "o'brien_{x}@example.com"),
        ("Info@MÜNCHEN.example", MUNICH),
        ("info@mu\u0308nchen.example", MUNICH),
        ("info@XN--MNCHEN-3YA.example", MUNICH),
        ("a@faß.example", "a@xn--fa-hia.example"),
        ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
        ("a@نامه\u200cای.example", "a@xn--mgba3gch31f060k.example"),
        ("root@localhost", "root@localhost"),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com"),
    ],
)
def test_one_mailbox_has_one_form(typed: str, stored: str) -> None:
    assert normalize_email(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "li.wei",
        "@example.com",
        "li@",
        "li wei@example.com",
        "li@example.com, wei@example.com",
        "li@example.com\nBcc: all@example.com",
        "li@wei@example.com",
        "Li Wei <li@example.com>",
        '"li wei"@example.com',
        ".li@example.com",
        "li.@example.com",
        "li..wei@example.com",
        "李@example.com",
        "lı@example.com",
        "\u0130@example.com",
        f"{'a' * 65}@example.com",
        f"a@{'.'.join(['b' * 60] * 4)}.example.com",
        f"{'a' * 64}@{'.'.join(['b' * 61] * 3)}.example",
        f"a@{'b' * 64}.example",
        "li@example.com.",
        "li@example.com。",
        "li@[192.0.2.1]",
        "li@192.0.2.1",
        "li@[IPv6:2001:db8::1]",
        "li@intranet",
        "li@example..com",
        "li@-example.com",
        "li@exa_mple.com",
        "li@ab--cd.example",
        "li@xn--a.example",
        "li@☃.example",
        "\ud800@example.com",
        "a" * 100_000,
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(BadEmail) as refusal:
        normalize_email(typed)
    [sentence] = refusal.value.messages
    assert sentence.endswith(".")


def test_too_long_is_said_as_such() -> None:
    with pytest.raises(BadEmail, match="too long"):
        normalize_email(f"{'a' * 65}@example.com")


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_form_is_stable_plain_and_survives_being_shown(local: str, domain: str) -> None:
    try:
        stored = normalize_email(f"{local}@{domain}.example")
    except BadEmail:
        return
    assert stored.isascii()
    assert stored == stored.lower()
    assert len(stored) <= 254
    assert normalize_email(stored) == stored
    assert normalize_email(shown_email(stored)) == stored


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (MUNICH, "info@münchen.example"),
        ("li@example.com", "li@example.com"),
        ("li@xn--a.example", "li@xn--a.example"),
        ("xn--@example.com", "xn--@example.com"),
        ("", ""),
    ],
)
def test_people_read_the_domain_in_its_own_script(stored: str, shown: str) -> None:
    assert shown_email(stored) == shown
