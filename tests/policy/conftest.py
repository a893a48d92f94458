"""A policy test with `reader_zone` runs once per zone: neither the process's nor the reader's may matter."""

import os
import time
import zoneinfo
from collections.abc import Iterator

import pytest
from django.utils import timezone


@pytest.fixture(params=["UTC", "Asia/Shanghai", "America/Los_Angeles"])
def reader_zone(request: pytest.FixtureRequest) -> Iterator[zoneinfo.ZoneInfo]:
    zone = zoneinfo.ZoneInfo(request.param)
    with pytest.MonkeyPatch.context() as patch, timezone.override(zone):
        patch.setitem(os.environ, "TZ", request.param)
        time.tzset()
        yield zone
    time.tzset()
