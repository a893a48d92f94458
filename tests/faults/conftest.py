from pathlib import Path

import pytest

from payments import channels
from payments.states import Channel
from tests.faults.outside import Bank


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """The outside of one test; the Alipay channel is connected to it here and in the workers."""
    outside = str(tmp_path / "outside")
    monkeypatch.setenv("OUTSIDE", outside)
    bank = Bank(outside)
    monkeypatch.setitem(channels._CONNECTED, Channel.ALIPAY, bank)
    return bank
