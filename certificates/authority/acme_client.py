"""The console's talk with an ACME directory (RFC 8555): its account there, calls that end, troubles sorted.

What is wrong with the order itself is Rejected; all else that keeps an answer from us is AuthorityUnavailable.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import josepy as jose
import requests
from acme import client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from certificates.authority.acme_words import words_of
from certificates.authority.base import AuthorityUnavailable
from certificates.authority.calls import BoundedSession
from certificates.models import AcmeAccount
from core.encryption import WrongKey, decrypt, encrypt

# Seconds for all calls of one step: well below a job's lease.
STEP = 40.0
LONGEST_ANSWER = 1024 * 1024
# Nonces may be refused at any time, and several in a row.
POSTS = 3

# RFC 8555, 7.1.6, knows it; the library does not.
EXPIRED = messages.Status("expired")

# Problems that stay, however often the same is asked. `gone` is ours, for whatever is not found.
GONE = "gone"
LASTING = frozenset(
    (
        *("rejectedIdentifier", "unsupportedIdentifier", "caa", "malformed", "badCSR", "compound", "orderNotReady"),
        *("alreadyRevoked", "badRevocationReason"),
    )
)

Body = TypeVar("Body", bound=messages.ResourceBody)


class Rejected(Exception):
    """The authority will not do it. `code` is the problem's type without its prefix, the text fit for the customer."""

    def __init__(self, problem: messages.Error, code: str) -> None:
        super().__init__(words_of(problem))
        self.code = code


class Network(client.ClientNetwork):
    """The library's, with bounded calls and with more patience for refused nonces."""

    def __init__(self, key: jose.JWK) -> None:
        super().__init__(key, alg=jose.ES256, user_agent="certificate-console")
        self.session = BoundedSession(seconds=STEP, longest=LONGEST_ANSWER, verify=settings.ACME_TRUST or True)

    def post(self, *args: Any, **options: Any) -> requests.Response:
        for _ in range(POSTS - 1):
            try:
                return super().post(*args, **options)
            except messages.Error as problem:
                if problem.code != "badNonce":
                    raise
        return super().post(*args, **options)

    @classmethod
    def _check_response(cls, response: requests.Response, content_type: str | None = None) -> requests.Response:
        try:
            return super()._check_response(response, content_type)
        except messages.Error as problem:
            problem.status = response.status_code
            raise
        except errors.ClientError:
            if response.status_code == 404:
                # The answer is the authority's: it gave its directory over the same line.
                raise _not_found() from None
            raise


def _not_found() -> messages.Error:
    problem = messages.Error()
    problem.status = 404
    return problem


class Talk:
    """One step's calls, with the console's account. Addresses are those that the authority gave."""

    def __init__(self, account: AcmeAccount) -> None:
        self.account = account
        self.key = _read_key(account)
        self.net = Network(self.key)
        with self._heard():
            self.acme = client.ClientV2(client.ClientV2.get_directory(settings.ACME_DIRECTORY, self.net), self.net)
            address = account.address or self._register()
            self.net.account = messages.RegistrationResource(uri=address, body=messages.Registration())

    def new_order(self, csr: str) -> messages.OrderResource:
        """A new order for the names of a CSR, with its authorizations."""
        with self._heard():
            made = self.acme.new_order(csr.encode())
            for each in made.authorizations:
                _require(each.body, "identifier", "status", "challenges")
            return made

    def order(self, address: str) -> messages.Order:
        with self._heard():
            return _require(messages.Order.from_json(self._read(address).json()), "status")

    def authorization(self, address: str) -> messages.Authorization:
        with self._heard():
            read = messages.Authorization.from_json(self._read(address).json())
            return _require(read, "identifier", "status", "challenges")

    def chain(self, address: str) -> list[x509.Certificate]:
        """The certificate and what the authority sends along."""
        with self._heard():
            return x509.load_pem_x509_certificates(self._read(address).content)

    def answer(self, challenge: messages.ChallengeBody) -> None:
        with self._heard():
            self.acme.answer_challenge(challenge, challenge.response(self.key))

    def finalize(self, address: str, order: messages.Order, csr: str) -> messages.Order:
        with self._heard():
            resource = messages.OrderResource(uri=address, body=order, csr_pem=csr.encode(), authorizations=[])
            return _require(self.acme.begin_finalization(resource).body, "status")

    def deactivate(self, address: str) -> None:
        with self._heard():
            unread = messages.AuthorizationResource(uri=address, body=messages.Authorization())
            self.acme.deactivate_authorization(unread)

    def revoke(self, certificate: x509.Certificate, reason: int) -> None:
        with self._heard():
            self.acme.revoke(certificate, reason)

    def _read(self, address: str) -> requests.Response:
        return self.net.post(address, None, new_nonce_url=self.acme.directory["newNonce"])

    def _register(self) -> str:
        """The address of our account. With the same key the authority knows it again, whoever registers it first."""
        contact = settings.ACME_CONTACT.removeprefix("mailto:") or None
        wanted = messages.NewRegistration.from_data(email=contact, terms_of_service_agreed=True)
        try:
            address = self.acme.new_account(wanted).uri
        except errors.ConflictError as known:
            address = known.location
        AcmeAccount.objects.filter(pk=self.account.pk).update(address=address)
        return address

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Whatever else than an answer comes, as Rejected or AuthorityUnavailable."""
        try:
            yield
        except messages.Error as problem:
            raise self._sorted(problem) from problem
        # The library trusts what it reads: a field that is missing or of another type is one of the last four.
        except (
            *(errors.Error, jose.Error, requests.RequestException, OSError),
            *(ValueError, KeyError, AttributeError, TypeError),
        ) as trouble:
            words = " ".join(str(trouble).split()) or "no usable answer"
            raise AuthorityUnavailable(f"{type(trouble).__name__}: {words}") from trouble

    def _sorted(self, problem: messages.Error) -> Exception:
        status, code = getattr(problem, "status", 400), _code_of(problem)
        if code == "accountDoesNotExist":
            # The authority has begun anew: so do we, with the next try.
            AcmeAccount.objects.filter(pk=self.account.pk, address=self.account.address).update(address="")
        elif status == 404:
            return Rejected(problem, GONE)
        elif status < 500 and _is_lasting(problem):
            return Rejected(problem, code)
        return AuthorityUnavailable(f"{status} {' '.join(str(problem).split())}")


def _require(body: Body, *fields: str) -> Body:
    """What was read, with all that it must have: to the library all of it is optional."""
    for field in fields:
        if getattr(body, field) is None:
            raise ValueError(f"{type(body).__name__} without {field}")
    return body


def _code_of(problem: messages.Error) -> str:
    return str(problem.typ).removeprefix(messages.ERROR_PREFIX)


def _is_lasting(problem: messages.Error) -> bool:
    """Of several problems one that passes is enough to try again."""
    return _code_of(problem) in LASTING and all(_is_lasting(each) for each in problem.subproblems or ())


@contextmanager
def talk() -> Iterator[Talk]:
    """A talk with the directory that the settings name, for one step. Raises AuthorityUnavailable."""
    if not settings.ACME_DIRECTORY:
        raise AuthorityUnavailable("ACME_DIRECTORY is not set: there is no ACME authority to ask.")
    try:
        made = Talk(_account())
    except Rejected as no:
        raise AuthorityUnavailable(f"No account at {settings.ACME_DIRECTORY}: {no.code}: {no}") from no
    try:
        yield made
    finally:
        made.net.session.close()


def _account() -> AcmeAccount:
    """Our account at the directory: one for all workers, since it is one row."""
    try:
        account, _ = AcmeAccount.objects.get_or_create(
            directory=settings.ACME_DIRECTORY,
            defaults={"key": _new_key},  # type: ignore[misc]  # called where there is none yet
        )
    except ImproperlyConfigured as error:
        raise AuthorityUnavailable(str(error)) from error
    return account


def _new_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return encrypt(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _read_key(account: AcmeAccount) -> jose.JWK:
    try:
        return jose.JWK.load(decrypt(account.key))
    except (ImproperlyConfigured, WrongKey) as error:
        raise AuthorityUnavailable(
            "The key of our account at the directory cannot be read: it was encrypted with none of "
            "KEY_ENCRYPTION_KEYS. Add the key that is missing there."
        ) from error
