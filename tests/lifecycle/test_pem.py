"""PEM as people have it is read; what is incomplete is answered with its true cause, and no private key is repeated."""

import re
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import pem
from certificates.csr import read_request
from certificates.pem import BadPem, Flaw, Kind, blocks_of, holds_private_key, is_armored, text_of
from certificates.private_keys import UnusableKey, check_key
from certificates.x509 import UnreadableCertificate, read_certificate
from tests.lifecycle.inputs import FOLDER, INPUTS
from tests.lifecycle.packs import chain_of, openssl, pem_of, text
from tests.lifecycle.requests import csr_of

MADE = chain_of()
CSR = csr_of(["shop.example.com"])
KEY = MADE.key_pem
OCTETS = blocks_of(KEY)[0].der()


def quoted(clean: str, mark: str = "> ") -> str:
    return "".join(f"{mark}{line}\n" for line in clean.splitlines())


def at_its_edges(clean: str, form: Callable[[str], str]) -> str:
    """With its BEGIN and END lines in another form."""
    return "\n".join(form(line) if line.startswith("-----") else line for line in clean.splitlines())


MANGLED: dict[str, Callable[[str], str]] = {
    "as it was made": lambda clean: clean,
    "with line ends of Windows": lambda clean: clean.replace("\n", "\r\n"),
    "with line ends of old": lambda clean: clean.replace("\n", "\r"),
    "with en dashes": lambda clean: at_its_edges(clean, lambda line: line.replace("-", "\u2013")),
    "with em dashes for two": lambda clean: at_its_edges(clean, lambda line: line.replace("--", "\u2014")),
    "with other hyphens": lambda clean: at_its_edges(
        clean, lambda line: line.replace("-----", "\u2010\u2011\u2212\uff0d-")
    ),
    "with fewer hyphens": lambda clean: at_its_edges(clean, lambda line: line.replace("-----", "---")),
    "quoted in mail": quoted,
    "quoted twice": lambda clean: quoted(quoted(clean)),
    "quoted twice without spaces": lambda clean: quoted(clean, ">>"),
    "quoted as HTML": lambda clean: quoted(clean, "&gt; "),
    "quoted and forwarded from Windows": lambda clean: "On Monday you wrote:\r\n" + quoted(clean).replace("\n", "\r\n"),
    "quoted with spaces that don't break": lambda clean: quoted(clean, ">\u00a0").replace(" ", "\u00a0"),
    "quoted in part": lambda clean: "\n".join(
        f"> {line}" if number % 2 else line for number, line in enumerate(clean.splitlines())
    ),
    "indented": lambda clean: quoted(clean, "\u3000\t"),
    "with spaces at the ends": lambda clean: clean.replace("\n", " \t\u00a0\n"),
    "with empty lines between": lambda clean: clean.replace("\n", "\n\n"),
    "in one line": lambda clean: " ".join(clean.splitlines()),
    "with an invisible mark before it": lambda clean: f"\ufeff{clean}",
    "with invisible characters in it": lambda clean: clean.replace("\n", "\u200b\n\u2060\u3164"),
    "between words": lambda clean: f"Bag Attributes\n    localKeyID: 01\n{clean}\nKind regards\n-- \nLi Wei",
    "without its padding": lambda clean: re.sub(r"=+\n", "\n", clean),
}


@pytest.mark.parametrize("mangle", MANGLED.values(), ids=MANGLED.keys())
@pytest.mark.parametrize("clean", [MADE.pem, CSR, KEY], ids=["chain", "csr", "key"])
def test_what_mail_and_word_processors_did_is_undone(clean: str, mangle: Callable[[str], str]) -> None:
    assert [each.der() for each in blocks_of(mangle(clean))] == [each.der() for each in blocks_of(clean)]
    assert is_armored(mangle(clean))


@pytest.mark.parametrize("mangle", MANGLED.values(), ids=MANGLED.keys())
def test_every_field_reads_it(mangle: Callable[[str], str]) -> None:
    assert read_certificate(mangle(MADE.pem)).pem == MADE.pem
    assert read_request(mangle(CSR), ["shop.example.com"]).pem == CSR
    check_key(mangle(KEY), MADE.leaf)


@pytest.mark.parametrize("mangle", MANGLED.values(), ids=MANGLED.keys())
def test_private_key_is_known_in_any_form(mangle: Callable[[str], str]) -> None:
    assert holds_private_key(mangle(KEY))
    assert not holds_private_key(mangle(MADE.pem + CSR))


@pytest.mark.parametrize("codec", ["ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_file_is_read_in_any_encoding(codec: str) -> None:
    assert text_of(KEY.encode(codec)).removeprefix("\ufeff") == KEY
    assert text_of(b"\xfe\xff" + KEY.encode("utf-16-be")) == KEY


def test_file_that_windows_wrote_with_en_dashes_is_read() -> None:
    content = at_its_edges(CSR, lambda line: line.replace("-", "\u2013")).encode("cp1252")
    assert blocks_of(text_of(content))[0].der() == blocks_of(CSR)[0].der()


def test_inputs_of_real_people_are_read() -> None:
    for name in ("csr-en-dashes.pem", "csr-mail-quoted.pem"):
        assert read_request(INPUTS[name], ["shop.example.com"])
    for name in ("upload-utf16-powershell.pem", "upload-t61-latin1-issuer.pem", "upload-issuer-utf8-vs-printable.pem"):
        assert read_certificate(INPUTS[name]).names == ("up.example.com",)
    assert blocks_of(INPUTS["upload-key-utf16.pem"])[0].der() == blocks_of(INPUTS["upload-key.pem"])[0].der()
    assert (FOLDER / "upload-key-utf16.pem").read_bytes().startswith(b"\xff\xfe")


# --- PKCS#7 ------------------------------------------------------------------------------------


def pkcs7_of(certificates: str, folder, label: str = "PKCS7") -> str:
    (folder / "all.pem").write_text(certificates)
    made = openssl("crl2pkcs7", "-nocrl", "-certfile", folder / "all.pem").decode()
    return made.replace("PKCS7", label)


@pytest.mark.parametrize("label", ["PKCS7", "PKCS #7 SIGNED DATA", "CMS"])
def test_pkcs7_is_read_under_every_label_with_the_certificate_first(label: str, tmp_path) -> None:
    """It is a set: files hold it in any order, with the root."""
    for order in ([MADE.root, MADE.upper, MADE.lower, MADE.leaf], [MADE.lower, MADE.leaf, MADE.root, MADE.upper]):
        read = read_certificate(pkcs7_of(text(*order), tmp_path, label))
        assert read.pem == MADE.pem + text(MADE.root)


def test_pkcs7_that_openssl_streamed_is_read(tmp_path) -> None:
    """In BER, with lengths that aren't known beforehand."""
    for name, content in (("leaf", text(MADE.leaf)), ("between", text(MADE.lower, MADE.upper)), ("key", KEY)):
        (tmp_path / name).write_text(content)
    signing = ("-signer", tmp_path / "leaf", "-inkey", tmp_path / "key", "-certfile", tmp_path / "between")
    made = openssl("cms", "-sign", "-stream", "-binary", "-outform", "PEM", *signing, given=b"hello").decode()
    assert blocks_of(made)[0].der()[1] == 0x80
    assert read_certificate(made).pem == MADE.pem


def test_trusted_certificate_of_openssl_is_read(tmp_path) -> None:
    trusted = openssl("x509", "-trustout", "-addtrust", "serverAuth", given=text(MADE.leaf).encode()).decode()
    assert "TRUSTED" in trusted
    assert read_certificate(trusted).pem == text(MADE.leaf)


# --- What is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torn", "flaw", "position"),
    [
        (KEY.split("\n", 1)[1], Flaw.NO_BEGIN, 1),
        (KEY.rsplit("\n", 2)[0], Flaw.NO_END, 1),
        (CSR + KEY.rsplit("\n", 2)[0] + CSR, Flaw.NO_END, 2),
        (KEY.replace("END PRIVATE", "END EC PRIVATE"), Flaw.OTHER_END, 1),
        ("-----BEGIN X-----\n \n-----END X-----", Flaw.EMPTY, 1),
        (CSR + KEY.replace(KEY.splitlines()[2][:4], "é…"), Flaw.NOT_BASE64, 2),
        (pem.armor("PRIVATE KEY", OCTETS[:-1]), Flaw.CUT_OFF, 1),
        (pem.armor("PRIVATE KEY", OCTETS[:1]), Flaw.CUT_OFF, 1),
        (pem.armor("PRIVATE KEY", OCTETS + b"\0"), Flaw.DAMAGED, 1),
        (pem.armor("PRIVATE KEY", b"hello"), Flaw.DAMAGED, 1),
        (pem.armor("PRIVATE KEY", b"\x30\x89" + b"\1" * 9), Flaw.DAMAGED, 1),
    ],
    ids=range(11),
)
def test_cause_is_told_and_the_place(torn: str, flaw: Flaw, position: int) -> None:
    with pytest.raises(BadPem) as refused:
        [each.der() for each in blocks_of(torn)]
    assert (refused.value.flaw, refused.value.position) == (flaw, position)
    assert refused.value.sentence


def test_every_flaw_has_a_sentence() -> None:
    assert set(pem.SENTENCES) == set(Flaw)


@pytest.mark.parametrize("number", range(len(KEY.splitlines())))
def test_nothing_of_a_private_key_is_repeated(number: int) -> None:
    """Whichever line is lost: neither in what is said nor in what is logged of it."""
    lines = KEY.splitlines()
    torn = "\n".join([*lines[:number], *lines[number + 1 :]])
    with pytest.raises(UnusableKey) as refused:
        check_key(torn, MADE.leaf)
    logged = "".join(traceback.format_exception(refused.value))
    assert not [line for line in lines[1:-1] if line in logged]
    assert lines[1] not in repr(blocks_of(KEY))


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("RSA PRIVATE KEY", Kind.PRIVATE_KEY),
        ("ENCRYPTED PRIVATE KEY", Kind.PRIVATE_KEY),
        ("X509 CERTIFICATE", Kind.CERTIFICATE),
        ("PKCS #7 SIGNED DATA", Kind.PKCS7),
        ("NEW CERTIFICATE REQUEST", Kind.REQUEST),
        ("SSH2 PUBLIC KEY", Kind.PUBLIC_KEY),
        ("DH PARAMETERS", Kind.OTHER),
    ],
)
def test_label_says_what_it_is(label: str, kind: Kind) -> None:
    assert [each.kind for each in blocks_of(pem.armor(label, b"0\0"))] == [kind]


@pytest.mark.parametrize(
    "given_text",
    [
        "-" * 200_000,
        "-- BEGIN " * 20_000,
        "-----BEGIN " + "A" * 200_000,
        "> " * 100_000,
        " " * 200_000,
        "&gt;" * 50_000,
    ],
    ids=["hyphens", "begins", "a-label", "quotes", "spaces", "entities"],
)
def test_text_made_to_be_slow_is_no_pem(given_text: str) -> None:
    """Were one of the searches quadratic, this would take minutes."""
    assert not holds_private_key(given_text)
    with pytest.raises(UnreadableCertificate):
        read_certificate(given_text)


@given(st.text(alphabet="-BEGINDRTFCA \n>:=+/9\u2013\u00a0#\0é", max_size=200) | st.text(max_size=200))
def test_any_text_is_read_or_refused(anything: str) -> None:
    try:
        assert isinstance([each.der() for each in blocks_of(anything)], list)
    except BadPem as refused:
        assert refused.sentence


@given(st.binary(max_size=300))
def test_any_file_is_text(content: bytes) -> None:
    assert isinstance(text_of(content), str)


def test_key_of_another_kind_beside_the_certificates_is_no_matter() -> None:
    """What `openssl pkcs12` writes: attributes, the certificate and the key in one text."""
    check_key(f"Bag Attributes\n{MADE.pem}\nKey Attributes: <No Attributes>\n{pem_of(MADE.key)}", MADE.leaf)
