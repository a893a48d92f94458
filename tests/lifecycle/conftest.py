import pytest

from certificates.services import authority_job
from tests.lifecycle.engine import FakeAuthority


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> FakeAuthority:
    """The authority that every product's certificates come from in this test."""
    fake = FakeAuthority()
    monkeypatch.setattr(authority_job, "authority_of", lambda _name: fake)
    return fake
