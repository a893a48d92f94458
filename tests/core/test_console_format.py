"""How moments are shown."""

from datetime import UTC, datetime

from django.utils import timezone

from core.templatetags.console_format import moment


def test_a_moment_at_the_calendars_end_is_shown_all_the_same() -> None:
    with timezone.override("Asia/Shanghai"):
        assert moment(datetime(9999, 12, 31, 23, 59, tzinfo=UTC)) == "9999-12-31 23:59"
        assert moment(datetime(2026, 11, 23, 4, 0, tzinfo=UTC)) == "2026-11-23 12:00"
