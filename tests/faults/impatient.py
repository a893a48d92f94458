"""Settings for worker processes that are not to wait long for a database that is locked or away."""

from tests.faults.settings import *  # noqa: F403
from tests.faults.settings import DATABASES

_options = DATABASES["default"].setdefault("OPTIONS", {})
if "pool" in _options:
    _options["pool"] = {**_options["pool"], "timeout": 1}
else:
    _options["timeout"] = 0.5
