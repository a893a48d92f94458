"""What foreign certificates say is read, compared and linked, however old their encodings; nothing raises."""

import random
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise, permutations
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from certificates import foreign
from certificates.chains import BrokenChain, Link, check_chain, in_order, link, load_chain, path_of, root_of
from certificates.pem import armor, blocks_of, text_of
from certificates.x509 import UnreadableCertificate, read_certificate
from tests.factories import NOON
from tests.lifecycle.inputs import INPUTS
from tests.lifecycle.old import UNCHECKED, unchecked_chain
from tests.lifecycle.packs import chain_of, new_key, sign, text

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

VECTORS = Path(cryptography_vectors.__file__).parent
T61 = INPUTS["upload-t61-latin1-issuer.pem"]
MIXED = INPUTS["upload-issuer-utf8-vs-printable.pem"]


def vectors() -> Iterator[x509.Certificate]:
    """Every certificate among the vectors that can be loaded at all."""
    for path in sorted(VECTORS.rglob("*")):
        if path.suffix not in {".pem", ".der", ".crt", ".cer"} or path.stat().st_size > 300_000:
            continue
        content = path.read_bytes()
        try:
            found = [each.der() for each in blocks_of(text_of(content))] if b"-----BEGIN" in content else [content]
        except ValueError:
            continue
        for octets in found:
            try:
                yield x509.load_der_x509_certificate(octets)
            except Exception:  # noqa: S112 - no certificate
                continue


def by_the_library(ask: Callable[[], object]) -> object:
    """What `cryptography` reads; "unread" where it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ask()
    except x509.ExtensionNotFound:
        return None
    except Exception:
        return "unread"


def test_everything_is_read_as_the_library_reads_it_and_nothing_raises() -> None:
    """Where the library raises, ours has an answer too."""
    count = unread = 0
    for certificate in vectors():
        pairs = _asked_twice(certificate)
        unread += sum(theirs == "unread" for theirs, _ in pairs)
        assert [ours for theirs, ours in pairs if theirs != "unread"] == [
            theirs for theirs, _ in pairs if theirs != "unread"
        ]
        assert foreign.issuer_of(certificate) is not None
        assert link(certificate, certificate) in Link
        count += 1
    assert count > 500
    assert unread > 20


def _asked_twice(certificate: x509.Certificate) -> list[tuple[object, object]]:
    """Each fact as the library and as we read it."""

    def of(kind: type, take: Callable) -> object:
        return by_the_library(lambda: take(certificate.extensions.get_extension_for_class(kind).value))

    def names() -> object:
        return [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]

    def spki() -> object:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    is_authority = of(x509.BasicConstraints, lambda value: value.ca)
    facts = [
        (of(x509.SubjectAlternativeName, lambda value: value.get_values_for_type(x509.DNSName)), _dns(certificate)),
        ("unread" if is_authority == "unread" else bool(is_authority), foreign.is_authority(certificate)),
        (of(x509.SubjectKeyIdentifier, lambda value: value.digest), foreign.subject_key_identifier(certificate)),
        (
            of(x509.AuthorityKeyIdentifier, lambda value: value.key_identifier),
            foreign.issuer_key_identifier(certificate),
        ),
        (by_the_library(names), foreign.common_names(certificate)),
    ]
    own_key = by_the_library(spki)
    assert (own_key == "unread") == (by_the_library(certificate.public_key) == "unread")
    assert foreign.key_octets(certificate)[:1] == b"\x30"
    return facts


def _dns(certificate: x509.Certificate) -> object:
    try:
        return foreign.dns_names(certificate)
    except foreign.Unreadable:
        return "refused"


def test_damage_anywhere_is_answered() -> None:
    """Octets changed at random, in certificates of several kinds: an answer or a sentence, never another error."""
    chance = random.Random(11)  # noqa: S311 - the same each time
    read = 0
    for source in (T61, MIXED, chain_of().pem, chain_of(kind="rsa").pem):
        for _each in range(250):
            octets = [bytearray(each.der()) for each in blocks_of(source)]
            for _change in range(chance.randint(1, 3)):
                chosen = chance.choice(octets)
                chosen[chance.randrange(4, len(chosen))] = chance.randrange(256)
            damaged = "".join(armor("CERTIFICATE", bytes(each)) for each in octets)
            try:
                chain = load_chain(read_certificate(damaged).pem)
            except UnreadableCertificate as refused:
                assert refused.sentence
                continue
            read += 1
            assert path_of(chain)
            assert len(in_order(chain)) == len(chain)
            root_of(chain, chain)
            try:
                check_chain(chain)
            except BrokenChain as broken:
                assert str(broken)
    assert read > 100


# --- Names (RFC 5280, 7.1) ---------------------------------------------------------------------

UTF8, PRINTABLE, T61_STRING, BMP = (
    _ASN1Type.UTF8String,
    _ASN1Type.PrintableString,
    _ASN1Type.T61String,
    _ASN1Type.BMPString,
)


def named(*values: tuple[str, _ASN1Type]) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, value, _type=kind) for value, kind in values])
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOON).not_valid_after(NOON.replace(year=2028))
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (("Example CA", UTF8), ("Example CA", PRINTABLE), True),
        (("Example CA", UTF8), ("EXAMPLE  ca ", PRINTABLE), True),
        (("Example CA", UTF8), (" example\u00a0ca", UTF8), True),
        (("Example CA", BMP), ("Example CA", UTF8), True),
        (("Example CA", T61_STRING), ("Example CA", UTF8), True),
        (("STRASSE", UTF8), ("Straße", UTF8), True),
        (("Trüst", UTF8), ("TRÜST", UTF8), True),
        (("Tru\u0308st", UTF8), ("Trüst", UTF8), True),
        (("Exam\u00adple", UTF8), ("Example", UTF8), True),
        (("Example CA", UTF8), ("ExampleCA", UTF8), False),
        (("Example CA", UTF8), ("Example CB", PRINTABLE), False),
    ],
)
def test_names_are_compared_without_regard_to_case_spaces_and_encoding(one, other, is_same: bool) -> None:
    assert (foreign.subject_of(named(one)) == foreign.subject_of(named(other))) is is_same


def test_order_and_number_of_names_matter() -> None:
    a, b = ("A", UTF8), ("B", UTF8)
    names = [foreign.subject_of(named(*each)) for each in ((a, b), (b, a), (a,), (a, b, b), ())]
    assert len(set(names)) == len(names)


def test_teletex_in_latin_1_is_the_same_name_as_in_utf_8() -> None:
    [_leaf, issuer] = load_chain(read_certificate(T61).pem)
    with pytest.raises(ValueError, match="parsing"):
        issuer.subject  # noqa: B018 - why it can't be asked
    assert any(("Trüst AG".casefold() in str(each)) for each in foreign.subject_of(issuer))


# --- Links -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["upload-t61-latin1-issuer.pem", "upload-issuer-utf8-vs-printable.pem"])
def test_chain_with_old_encodings_holds(name: str) -> None:
    chain = load_chain(read_certificate(INPUTS[name]).pem)
    assert [link(*each) for each in pairwise(chain)] == [Link.SIGNED]
    check_chain(chain)
    assert path_of(chain) == chain[:1]
    assert root_of(chain[:1], chain[1:]) == chain[1]


def keys() -> list:
    return [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.BrainpoolP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ]


@pytest.mark.parametrize("key", keys(), ids=["rsa", "p521", "brainpool", "ed25519", "ed448", "dsa"])
def test_signature_of_every_kind_is_checked(key) -> None:
    leaf, issuer = _signed(key, key)
    other = _signed(ec.generate_private_key(ec.SECP256R1()), None)[1]
    assert link(leaf, issuer) == Link.SIGNED
    assert link(leaf, other) == Link.NOT_SIGNED


@pytest.mark.parametrize("length", [padding.PSS.DIGEST_LENGTH, padding.PSS.MAX_LENGTH])
def test_signature_by_pss_is_checked(length) -> None:
    key = rsa.generate_private_key(65537, 2048)
    how = padding.PSS(padding.MGF1(hashes.SHA256()), length)
    leaf, issuer = _signed(key, key, rsa_padding=how)
    assert link(leaf, issuer) == Link.SIGNED
    assert link(leaf, _signed(rsa.generate_private_key(65537, 2048), None)[1]) == Link.NOT_SIGNED


def _signed(issuer_key, own_key, *, rsa_padding=None) -> tuple[x509.Certificate, x509.Certificate]:
    """A certificate signed with a key, and one for that key; both named alike."""
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(issuer_key.public_key())
    builder = builder.not_valid_before(NOON).not_valid_after(NOON.replace(year=2028))
    made = [builder.serial_number(each).sign(issuer_key, digest, rsa_padding=rsa_padding) for each in (1, 2)]
    return made[0], made[1]


@pytest.mark.parametrize("kind", UNCHECKED)
def test_link_that_cannot_be_checked_is_kept(kind: str, tmp_path: Path) -> None:
    made = unchecked_chain(kind, tmp_path)
    chain = load_chain(read_certificate(made.pem).pem)
    assert [link(*each) for each in pairwise(chain)] == [Link.UNCHECKED, Link.UNCHECKED]
    check_chain(chain)
    assert path_of(chain) == chain
    assert root_of(path_of(chain), chain[1:]) == chain[-1]
    # Another of the same names has another key, as the identifiers say.
    (tmp_path / "again").mkdir()
    namesake = load_chain(unchecked_chain(kind, tmp_path / "again").pem)
    assert link(chain[0], namesake[1]) == Link.NOT_SIGNED


def test_chain_that_is_only_named_alike_is_refused() -> None:
    made, other = chain_of(), chain_of("other.example.com")
    assert link(made.leaf, other.lower) == Link.NOT_SIGNED
    with pytest.raises(BrokenChain, match="is not signed by it"):
        check_chain([made.leaf, other.lower])


def test_root_that_an_older_one_has_signed_too_stays_in_the_path() -> None:
    """Clients that know the older one alone need it; the root itself is left out."""
    made, old_key = chain_of(), ec.generate_private_key(ec.SECP256R1())
    ages = {"ca": True, "days": 4000}
    root_key = ec.generate_private_key(ec.SECP256R1())
    leaf = sign("shop.example.com", made.key, "New", root_key, names=("shop.example.com",))
    root, crossed = sign("New", root_key, "New", root_key, **ages), sign("New", root_key, "Old", old_key, **ages)
    old = sign("Old", old_key, "Old", old_key, **ages)
    for others in ([root, crossed], [crossed, root], [root, crossed, old]):
        assert path_of([leaf, *others]) == [leaf, crossed]
    assert root_of([leaf, crossed], [root]) == root
    assert root_of([leaf, crossed], [root, old]) == old


def test_two_that_signed_one_another_make_no_endless_path() -> None:
    one, two, made = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()), chain_of()
    circle = [sign("One", one, "Two", two, ca=True), sign("Two", two, "One", one, ca=True)]
    leaf = sign("shop.example.com", made.key, "One", one)
    assert path_of([leaf, *circle]) == [leaf, *circle]
    assert load_chain(text(*in_order([*circle, leaf]))) == [leaf, *circle]


def test_new_key_of_a_root_signed_by_its_old_one_is_no_root() -> None:
    old_key, key, own_key = new_key(), new_key(), new_key()
    roots = [sign("Root", each, "Root", each, ca=True) for each in (old_key, key)]
    rollover = sign("Root", key, "Root", old_key, ca=True)
    leaf = sign("shop.example.com", own_key, "Root", key, names=("shop.example.com",))
    for others in permutations([*roots, rollover]):
        assert path_of([leaf, *others]) == [leaf, rollover]
