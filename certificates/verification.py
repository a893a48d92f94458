"""Looks whether what proves a domain is published: by DNS, or by file on port 80 of its web server.

Every look is bounded: 5 seconds a name in all, some 12 seconds for all names together. Nothing here raises; what was
seen instead is part of the answer.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from certificates.authority.base import Challenge
from certificates.fetching import fetch
from certificates.names import is_own, proven_under
from certificates.resolving import Seen, Unseen, plain, resolve
from certificates.states import Verification

# Seconds: for one name, and until no further look is begun.
ONE_LOOK, ALL_LOOKS = 5.0, 7.0
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen for one challenge; `detail` is what goes with it: another text, a status, an address."""

    challenge: Challenge
    seen: Seen
    detail: str = ""

    @property
    def is_found(self) -> bool:
        return self.seen == Seen.FOUND


def look(challenges: Sequence[Challenge], verification: str) -> list[Finding]:
    """Look for each challenge at once, in their order. Takes some 12 seconds at most; for outside a transaction."""
    pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="look")
    looks = [pool.submit(_look_for, each, verification) for each in challenges]
    wait(looks, timeout=ALL_LOOKS)
    # What has begun ends by itself in time; what has not is not begun any more.
    pool.shutdown(cancel_futures=True)
    return [_finding(each, challenge) for each, challenge in zip(looks, challenges, strict=True)]


def _finding(look: "Future[Finding]", challenge: Challenge) -> Finding:
    return Finding(challenge, Seen.LATE) if look.cancelled() else look.result()


def _look_for(challenge: Challenge, verification: str) -> Finding:
    if is_own(proven_under(challenge.name)):
        return Finding(challenge, Seen.FOUND)
    until = time.monotonic() + ONE_LOOK
    try:
        if verification == Verification.FILE:
            _fetch_proof(challenge, until)
        else:
            _resolve_proof(challenge, until)
    except Unseen as instead:
        return Finding(challenge, instead.seen, instead.detail)
    return Finding(challenge, Seen.FOUND)


def _resolve_proof(challenge: Challenge, until: float) -> None:
    texts = [_text_of(record) for record in resolve(challenge.place, "TXT", until)]
    if not texts:
        raise Unseen(Seen.NOTHING)
    if challenge.value not in texts:
        raise Unseen(Seen.OTHER, plain(texts[0]))


def _text_of(record: Any) -> str:
    """A long text comes in pieces, which are one."""
    return b"".join(record.strings).decode("utf-8", "replace").strip()


def _fetch_proof(challenge: Challenge, until: float) -> None:
    body = fetch(f"http://{proven_under(challenge.name)}{challenge.place}", until)
    if body.rstrip() != challenge.value.encode():
        raise Unseen(Seen.OTHER, plain(body.decode("utf-8", "replace")))
