"""Which domain names an application may be for. Pure: nothing is looked up, and the suffix list is the packaged one."""

import ipaddress
import re
from collections.abc import Iterable, Sequence

import idna
import tldextract
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from certificates.states import DomainType

LONGEST_NAME, LONGEST_LABEL = 253, 63
# Where nobody recorded how many names were bought.
MOST_NAMES = 100
# More mistakes than that are shown once these are mended.
MOST_PROBLEMS = 10
WILDCARD = "*."

_SEPARATORS = re.compile(r"[\s,;、，；]+")
_LABEL = re.compile(r"(?!-)[a-z0-9-]+(?<!-)", re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)

# ICANN's suffixes alone. Those in the private part of the list, such as github.io, belong to a company that may have a
# certificate for them; proof of control keeps everybody else out.
_suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=False)


class UnfitName(ValueError):
    """A text is no name that a certificate is issued for; the message is a sentence for the customer."""


class UnfitNames(ValueError):
    """Names that cannot be applied for; `problems` are sentences for the customer, each with the name it is about."""

    def __init__(self, *problems: str) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems[:MOST_PROBLEMS]


def names_of(text: str, domain_type: str, bought: int | None) -> list[str]:
    """The names in a text, lower-case ASCII, in the order given; separated by lines, spaces or commas.

    Raises UnfitNames, also where they do not match what was bought: the product's domain type and how many names.
    """
    typed = [word for word in _SEPARATORS.split(text) if word]
    if not typed:
        raise UnfitNames(_("Enter the domain name that the certificate is for."))
    if len(typed) > 2 * MOST_NAMES:
        raise UnfitNames(
            _("There are too many names: at most %(most)s fit into one certificate.") % {"most": MOST_NAMES}
        )
    names = _read(typed)
    _refuse_repeated(names)
    _MATCH[DomainType(domain_type)](names, bought or MOST_NAMES)
    return names


def domain_name(typed: str) -> str:
    """One name as certificates carry it: lower-case ASCII, no dot at its end. Raises UnfitName."""
    # No name becomes shorter by being written in ASCII.
    if len(typed) > LONGEST_NAME + 1:
        raise UnfitName(_("“%(name)s…” is too long: a name has at most 253 characters.") % {"name": typed[:40]})
    if "/" in typed or "@" in typed:
        raise _unfit(typed, _("“%(name)s”: type the name alone, without https://, a path or an @."))
    _refuse_address(typed, typed)
    star, rest = _without_star(typed)
    name = ascii_form(rest)
    _refuse_address(name, typed)
    _check_labels(name, typed)
    _check_suffix(name, typed, is_wildcard=bool(star))
    if len(star + name) > LONGEST_NAME:
        raise _unfit(typed, _("“%(name)s” is too long: a name has at most 253 characters."))
    return star + name


def ascii_form(typed: str) -> str:
    """A name in lower-case ASCII without its last dot, whatever it holds otherwise. Raises UnfitName for a bad IDN."""
    try:
        mapped = typed.lower() if typed.isascii() else idna.uts46_remap(typed, std3_rules=False, transitional=False)
        labels = mapped.removesuffix(".").split(".")
        return ".".join(_ascii_label(label) for label in labels)
    except (idna.IDNAError, UnicodeError) as error:
        raise _unfit(typed, _("“%(name)s” holds characters that no domain name may hold.")) from error


def shown(name: str) -> str:
    """A name for people; one with letters beyond ASCII in both forms."""
    if "xn--" not in name:
        return name
    bare = proven_under(name)
    try:
        return f"{name.removesuffix(bare)}{idna.decode(bare)} ({name})"
    except (idna.IDNAError, UnicodeError):
        return name


def is_own(name: str) -> bool:
    """Whether a name is under the suffix that the demo answers for itself; nothing is outside the demo."""
    own = settings.VERIFICATION_OWN_SUFFIX
    return bool(own) and name.endswith(f".{own}")


def proven_under(name: str) -> str:
    """The domain at which control of a name is shown: a wildcard's is the one beneath it."""
    return name.removeprefix(WILDCARD)


# --- One name ----------------------------------------------------------------------------------


def _unfit(name: str, sentence: str) -> UnfitName:
    return UnfitName(sentence % {"name": name})


def _without_star(typed: str) -> tuple[str, str]:
    """The `*.` at the beginning, and the name after it."""
    star, rest = (WILDCARD, typed[2:]) if typed.startswith(WILDCARD) else ("", typed)
    if "*" in rest:
        raise _unfit(typed, _("“%(name)s”: a * may only stand once, as the whole first part: *.example.com."))
    return star, rest


def _refuse_address(name: str, typed: str) -> None:
    if _is_address(name):
        raise _unfit(typed, _("“%(name)s” is an IP address; certificates are issued for domain names."))


def _is_address(name: str) -> bool:
    """IP addresses in every writing that a browser takes for one: a name whose last label is a number is none."""
    last = name.lower().rstrip(".").rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        return True
    try:
        ipaddress.ip_address(name.partition("]")[0].lstrip("["))
    except ValueError:
        return False
    return True


def _ascii_label(label: str) -> str:
    """Raises IDNAError for what is no label of an IDN; plain ASCII is checked elsewhere."""
    if label.isascii() and not label.startswith("xn--"):
        return label
    return idna.alabel(label).decode() if not label.isascii() else idna.alabel(idna.ulabel(label)).decode()


def _check_labels(name: str, typed: str) -> None:
    for label in name.split("."):
        if not label:
            raise _unfit(typed, _("“%(name)s” has a dot too many."))
        if len(label) > LONGEST_LABEL:
            raise _unfit(typed, _("“%(name)s” has a part of more than 63 characters."))
        # What else has hyphens there is kept for future kinds of IDN.
        is_reserved = label[2:4] == "--" and not label.startswith("xn--")
        if is_reserved or not _LABEL.fullmatch(label):
            raise _unfit(typed, _("“%(name)s” may hold only letters, digits, hyphens inside a part, and dots."))


def _check_suffix(name: str, typed: str, *, is_wildcard: bool) -> None:
    """Nobody owns a public suffix as a whole, and a name without one doesn't exist on the public Internet."""
    if is_own(name):
        return
    if name == settings.VERIFICATION_OWN_SUFFIX or _is_suffix(name):
        whole = _("“%(name)s” would cover a whole public suffix, such as all of .com.")
        raise _unfit(typed, whole if is_wildcard else _("“%(name)s” is a public suffix, such as .com; nobody owns it."))
    if not _suffixes(name).suffix:
        raise _unfit(typed, _("“%(name)s” is no name of the public Internet, so no authority issues for it."))


def _is_suffix(name: str) -> bool:
    found = _suffixes(name)
    return bool(found.suffix) and not found.domain


# --- All of them -------------------------------------------------------------------------------


def _read(typed: Iterable[str]) -> list[str]:
    names, problems = [], []
    for word in typed:
        try:
            names.append(domain_name(word))
        except UnfitName as problem:
            problems.append(str(problem))
    if problems:
        raise UnfitNames(*dict.fromkeys(problems))
    return names


def _refuse_repeated(names: Sequence[str]) -> None:
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise UnfitNames(*(_("“%(name)s” stands there twice.") % {"name": shown(name)} for name in repeated))


def _match_plain(names: Sequence[str], bought: int) -> None:
    wildcards = [name for name in names if name.startswith(WILDCARD)]
    if wildcards:
        sentence = _("“%(name)s” is a wildcard, for which a Wildcard Domain certificate is needed.")
        raise UnfitNames(*(sentence % {"name": shown(name)} for name in wildcards))
    # A name and its www. are one.
    counted = list(dict.fromkeys(name.removeprefix("www.") for name in names))
    if len(counted) > bought:
        raise UnfitNames(_too_many(bought, counted[bought]))


def _too_many(bought: int, first_beyond: str) -> str:
    sentence = ngettext(
        "This certificate is for %(bought)s name (with and without www.); “%(name)s” is one too many.",
        "This certificate is for %(bought)s names (each with and without www.); “%(name)s” is one too many.",
        bought,
    )
    return sentence % {"bought": bought, "name": shown(first_beyond)}


def _match_single(names: Sequence[str], bought: int) -> None:
    _match_plain(names, 1)


def _match_wildcard(names: Sequence[str], bought: int) -> None:
    wildcards = [name for name in names if name.startswith(WILDCARD)]
    if not wildcards:
        sentence = _("“%(name)s” is no wildcard; this certificate is for one, such as *.%(name)s.")
        raise UnfitNames(sentence % {"name": names[0]})
    own = {wildcards[0], proven_under(wildcards[0])}
    others = [name for name in names if name not in own]
    if others:
        sentence = _("“%(name)s”: this certificate is for %(wildcard)s alone, and the domain beneath it.")
        words = {"wildcard": shown(wildcards[0])}
        raise UnfitNames(*(sentence % {"name": shown(name), **words} for name in others))


_MATCH = {
    DomainType.SINGLE: _match_single,
    DomainType.WILDCARD: _match_wildcard,
    DomainType.MULTI: _match_plain,
}
