"""What a person does in a browser, and what is asked of every page."""

from pathlib import Path

from django.conf import settings
from playwright.sync_api import Page

AXE = Path(__file__).with_name("axe.min.js").read_text(encoding="utf-8")
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 360, "height": 780}
PASSWORD = "refund-demo"


def sign_in(page: Page, address: str, username: str, *, password: str = PASSWORD) -> None:
    """Through the form, as people do; `address` is any page of the console, and where it ends."""
    page.goto(address)
    page.locator("input[name=login]").fill(username)
    page.locator("input[name=password]").fill(password)
    page.locator("main button[type=submit]").click()
    page.wait_for_url(address)


def serious_findings(page: Page) -> list[str]:
    """What axe-core calls serious or critical on the page as it stands, one line each: rule, element, advice."""
    devtools = page.context.new_cdp_session(page)
    # The console's policy lets no script in by way of the page; the debugger stands outside it.
    devtools.send("Runtime.evaluate", {"expression": AXE})
    answer = devtools.send("Runtime.evaluate", {"expression": "axe.run()", "awaitPromise": True, "returnByValue": True})
    devtools.detach()
    violations = answer["result"]["value"]["violations"]
    return [
        f"{violation['id']}: {node['html'][:200]} ({violation['help']})"
        for violation in violations
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


def assert_accessible(page: Page) -> None:
    findings = serious_findings(page)
    assert not findings, "\n".join(findings)


def assert_fits(page: Page) -> None:
    """Nothing makes the page wider than its window."""
    too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert too_wide <= 0, f"{page.url} is {too_wide} pixels wider than its window"


def shot(page: Page, name: str) -> Path:
    """Keep a picture of the page as var/screenshots/NAME.png."""
    path = Path(settings.VAR_DIR) / "screenshots" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, animations="disabled")
    return path


def shots_in_every_look(page: Page, name: str, *, check: bool = True) -> None:
    """Keep NAME-1440-light.png and the like: wide and narrow, light and dark; each must fit and satisfy axe-core."""
    for window in (WIDE, NARROW):
        page.set_viewport_size(window)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            shot(page, f"{name}-{window['width']}-{scheme}")
            if check:
                assert_fits(page)
                assert_accessible(page)
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
