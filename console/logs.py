"""What must not reach the log."""

import logging
import re

_LINK = re.compile(r"(/revocations/|/email/confirm/|/email/restore/|/password/reset/key/)[^/\s?]+")


class HideLinks(logging.Filter):
    """Links from emails act for anyone who has them: of their addresses, the log keeps the beginning."""

    def filter(self, record: logging.LogRecord) -> bool:
        words = record.getMessage()
        if _LINK.search(words):
            record.msg, record.args = _LINK.sub(r"\1…", words), ()
        return True
