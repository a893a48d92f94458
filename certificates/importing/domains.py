"""Domain names as certificates carry them: ASCII, lower-case, a wildcard only as the whole first label."""

import re
from collections.abc import Iterable, Sequence

from certificates.importing.problems import Unfit
from certificates.states import DomainType, Level

MOST_DOMAINS = 250
LONGEST_NAME = 253

_NAME = re.compile(r"(?:\*\.)?(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)(?![0-9]+\Z)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
# IDNA 2003 and IDNA 2008 make different names of these: the seller has to say which one it sold.
_AMBIGUOUS = frozenset("ßςẞ\u200c\u200d")


def domain_name(text: str) -> str:
    """A name in its ASCII form, lower-case. Raises Unfit for what no certificate is sold for, IPs among it."""
    name = _to_ascii(text).lower()
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise Unfit(f"{text!a} is not a domain name")
    return name


def domain_names(texts: Sequence[str]) -> list[str]:
    """The names in order. Raises Unfit for a bad one, one given twice, and too many of them."""
    if len(texts) > MOST_DOMAINS:
        raise Unfit(f"are {len(texts)}, more than {MOST_DOMAINS}")
    names = [domain_name(text) for text in texts]
    for name in names:
        if names.count(name) > 1:
            raise Unfit(f"name {name} twice")
    return names


def uncovered(names: Iterable[str], certificate_names: Iterable[str]) -> list[str]:
    """Those of `names` that a certificate for `certificate_names` is not valid for. A wildcard stands for one label."""
    covering = frozenset(certificate_names)
    return [name for name in names if name not in covering and f"*.{name.partition('.')[2]}" not in covering]


def type_reason(names: Sequence[str], domain_type: str, level: str) -> str | None:
    """Why these names do not go with what was bought; None where they do."""
    wildcards = [name for name in names if name.startswith("*.")]
    if wildcards and level == Level.EV:
        return "hold a wildcard, which no EV certificate may"
    if domain_type == DomainType.SINGLE and (wildcards or len({_without(name, "www.") for name in names}) > 1):
        return "are more than the one name of a single-domain certificate (beside its www.)"
    if domain_type == DomainType.WILDCARD and (not wildcards or len({_without(name, "*.") for name in names}) > 1):
        return "are not the one wildcard name of a wildcard certificate (beside the name under it)"
    return None


def _without(name: str, beginning: str) -> str:
    return name.removeprefix(beginning)


def _to_ascii(text: str) -> str:
    if text.isascii():
        return text
    if not _AMBIGUOUS.isdisjoint(text):
        raise Unfit(f"{text!a} has more than one ASCII form: write it as xn--…")
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise Unfit(f"{text!a} is not a domain name") from error
