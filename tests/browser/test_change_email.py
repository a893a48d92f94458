"""Changing the address of an account in a real browser, and undoing it from the old mailbox."""

from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from core.email_links import EmailLink, LinkKind, token_of
from core.models import EmailChange, User
from tests.browser.helpers import PASSWORD, shots_in_every_look, sign_in


def link(live_server: LiveServer, kind: LinkKind) -> str:
    page = "confirm" if kind == LinkKind.CONFIRM else "restore"
    change = EmailChange.objects.latest("pk")
    return f"{live_server.url}/email/{page}/{token_of(EmailLink(change.pk, kind))}/"


def ask(page: Page, email: str, password: str) -> None:
    page.locator("input[name=new_email]").fill(email)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Send the Link").click()


def test_a_customer_changes_the_address_and_the_old_mailbox_undoes_it(
    page: Page, live_server: LiveServer, shopper: User
) -> None:
    sign_in(page, f"{live_server.url}/settings/", shopper.username)
    page.get_by_role("link", name="Change Email Address").click()
    ask(page, "su@bücher.example", "not this one")
    expect(page.locator("#id_password_error")).to_contain_text("isn't your current password")
    expect(page.locator("input[name=new_email]")).to_have_value("su@bücher.example")
    shots_in_every_look(page, "change-email-refused")
    ask(page, "su@bücher.example", PASSWORD)
    expect(page.locator("main")).to_contain_text("Waiting for confirmation")
    shots_in_every_look(page, "settings-email-waiting")

    page.goto(link(live_server, LinkKind.CONFIRM))
    shots_in_every_look(page, "email-confirm")
    page.get_by_role("button", name="Use This Address").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your new email address is in use")

    page.goto(link(live_server, LinkKind.RESTORE_AFTER_CHANGE))
    shots_in_every_look(page, "email-restore")
    page.get_by_role("button", name="Undo and Set a New Password").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Set a new password")
    for field in ("password1", "password2"):
        page.locator(f"input[name={field}]").fill("a-long-and-quiet-river")
    page.locator("main button[type=submit]").click()
    sign_in(page, f"{live_server.url}/settings/", shopper.email, password="a-long-and-quiet-river")
    expect(page.locator("main")).to_contain_text(shopper.email)


def test_a_customer_changes_the_address_without_javascript(
    plain_page: Page, live_server: LiveServer, shopper: User
) -> None:
    sign_in(plain_page, f"{live_server.url}/settings/email/", shopper.username)
    ask(plain_page, "new@example.com", PASSWORD)
    expect(plain_page.locator("main")).to_contain_text("We sent a link to new@example.com")
    plain_page.get_by_role("button", name="Withdraw the Change").click()
    expect(plain_page.locator("main")).to_contain_text("The change is withdrawn")
