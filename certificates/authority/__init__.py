"""Where certificates come from: one file per certificate authority behind the interface in `base`."""

from certificates.authority.acme import AcmeAuthority
from certificates.authority.base import Authority
from certificates.authority.embedded import EmbeddedAuthority
from certificates.states import AuthorityName

_AUTHORITIES: dict[str, Authority] = {
    AuthorityName.EMBEDDED: EmbeddedAuthority(),
    AuthorityName.ACME: AcmeAuthority(),
}


def authority_of(name: str) -> Authority:
    """The authority of this name. Raises KeyError for an unknown one."""
    return _AUTHORITIES[name]
