"""Facts near the policy's boundaries, and how the properties are run: the same examples every time."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from refunds.rules.assess import EVENTS, Facts

SHANGHAI = timezone(timedelta(hours=8))

repeatable = settings(max_examples=150, deadline=None, derandomize=True, database=None)

# Around midnight of the service's zone and of UTC, to the second and below, and anywhere in the day.
times_of_day = st.one_of(
    st.sampled_from([time(0), time(0, 0, 1), time(23, 59, 59), time(23, 59, 59, 999_999), time(8), time(7, 59, 59)]),
    st.times(),
)
first_days = st.one_of(
    st.dates(date(1995, 1, 1), date(2110, 12, 31)),
    # Spring Festival, National Day, New Year, the end of the announced years, the leap day.
    st.sampled_from([date(2026, 1, 20), date(2026, 9, 1), date(2026, 12, 1), date(2025, 12, 10), date(2024, 2, 1)]),
)
service_days = st.one_of(st.sampled_from([0, 1, 5, 6, 15, 19, 20, 21, 22, 30, 365]), st.integers(0, 400))


def moments_from(day: date, *, longest: int) -> st.SearchStrategy[datetime]:
    """Moments in UTC, up to so many days of the service's zone after `day`."""
    days = st.one_of(st.integers(0, min(45, longest)), st.integers(0, longest)).map(timedelta)
    return st.builds(
        lambda after, at: datetime.combine(day + after, at, tzinfo=SHANGHAI).astimezone(UTC), days, times_of_day
    )


@st.composite
def certificates(draw: st.DrawFn) -> Facts:
    """Any facts that are possible, with events in any order that may be."""
    day = draw(first_days)
    purchased_at = draw(moments_from(day, longest=0))
    later = st.one_of(st.none(), moments_from(day, longest=430).filter(lambda moment: moment >= purchased_at))
    events: dict[str, Any] = {name: draw(later) for name in EVENTS}
    if events["issued_at"] is None:
        events["revocation_requested_at"] = events["revoked_at"] = None
    chain = ("issued_at", "revocation_requested_at", "revoked_at")
    in_order = sorted(events[name] for name in chain if events[name])
    events.update(zip([name for name in chain if events[name]], in_order, strict=True))
    return Facts(
        source=draw(st.sampled_from(["purchased"] * 9 + ["uploaded"])),
        free=draw(st.sampled_from([False] * 9 + [True])),
        paid=draw(st.sampled_from([0] + [120_000] * 9)),
        voucher=draw(st.integers(0, 10_000)),
        currency=draw(st.sampled_from(["CNY", "JPY", "KWD", "XYZ"])),
        purchased_at=purchased_at,
        expires_at=max(
            purchased_at + timedelta(microseconds=1),
            draw(moments_from(day + timedelta(days=draw(service_days)), longest=0)),
        ),
        **events,
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[Facts, datetime]:
    """Facts, and a moment at which they may be asked about."""
    facts = draw(certificates())
    turns = [facts.purchased_at, facts.expires_at, *(moment for name in EVENTS if (moment := getattr(facts, name)))]
    nearby = st.builds(
        lambda turn, shift: turn + shift,
        st.sampled_from(turns),
        st.sampled_from([timedelta(0), timedelta(microseconds=1), -timedelta(microseconds=1), timedelta(days=28)]),
    )
    day = facts.purchased_at.astimezone(SHANGHAI).date()
    at = draw(st.one_of(nearby, moments_from(day, longest=430)))
    return facts, max(at, facts.purchased_at)
