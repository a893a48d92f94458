"""Files in both directions: packages out of the drawer, certificates into it; with JavaScript and without."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from playwright.sync_api import Download, Page, expect
from pytest_django.live_server_helper import LiveServer

from certificates.models import Certificate
from core.models import User
from tests.browser.helpers import shots_in_every_look, sign_in
from tests.lifecycle.packs import bought, chain_of, unpacked


@pytest.fixture
def certificate(shopper: User) -> Certificate:
    return bought(shopper, chain_of())


def content_of(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


def get(page: Page, package: str) -> Download:
    row = page.locator("dl.facts > div").filter(has=page.locator(f"form[action$='/{package}/']"))
    with page.expect_download() as download:
        row.get_by_role("button").click()
    return download.value


def test_customer_downloads_from_the_drawer(page: Page, live_server: LiveServer, certificate: Certificate):
    sign_in(page, f"{live_server.url}/", "shopper")
    page.get_by_role("link", name="Download").first.click()
    drawer = page.locator("#drawer[open]")
    expect(drawer.get_by_role("heading", name="Download")).to_be_visible()
    shots_in_every_look(page, "download")
    package = get(page, "nginx")
    assert package.suggested_filename == "shop.example.com_nginx.zip"
    assert "shop.example.com_nginx.key" in unpacked(content_of(package))
    # The drawer stays as it is for the next one.
    expect(drawer.get_by_role("heading", name="Download")).to_be_visible()
    page.locator("form[action$='/tomcat/'] button").click()
    expect(drawer.get_by_role("heading", name="Keystore for Tomcat")).to_be_visible()
    shots_in_every_look(page, "download-password")
    keystore_opens(page, drawer.locator("dd.mono").inner_text().strip())


def test_customer_downloads_without_javascript(plain_page: Page, live_server: LiveServer, certificate: Certificate):
    sign_in(plain_page, f"{live_server.url}/certificates/{certificate}/download/", "shopper")
    assert get(plain_page, "apache").suggested_filename == "shop.example.com_apache.zip"
    plain_page.locator("form[action$='/java/'] button").click()
    keystore_opens(plain_page, plain_page.locator("dd.mono").inner_text().strip())


def keystore_opens(page: Page, password: str) -> None:
    with page.expect_download() as download:
        page.locator("button[form=keystore-form]").click()
    [keystore] = [each for name, each in unpacked(content_of(download.value)).items() if name != "README.txt"]
    _key, leaf, _between = pkcs12.load_key_and_certificates(keystore, password.encode())
    assert leaf == chain_of().leaf


def test_customer_uploads_files_in_the_drawer(page: Page, live_server: LiveServer, shopper: User, tmp_path: Path):
    made = chain_of()
    chain, key = tmp_path / "chain.pem", tmp_path / "shop.key"
    chain.write_text(made.pem)
    key.write_text(made.key_pem)
    sign_in(page, f"{live_server.url}/", "shopper")
    page.get_by_role("link", name="Upload Certificate").first.click()
    drawer = page.locator("#drawer[open]")
    drawer.get_by_label("Name").fill("Our shop")
    drawer.get_by_label("Private key").fill("not a key")
    drawer.get_by_role("button", name="Upload").click()
    expect(drawer.locator("#id_chain_error")).to_contain_text("Paste the certificate")
    shots_in_every_look(page, "upload-errors")
    expect(drawer.get_by_label("Name")).to_have_value("Our shop")
    expect(drawer.get_by_label("Private key")).to_have_value("")
    drawer.get_by_label("Or the certificate's file").set_input_files(chain)
    drawer.get_by_label("Or the key's file").set_input_files(key)
    drawer.get_by_role("button", name="Upload").click()
    expect(drawer.get_by_text("The certificate is in your list")).to_be_visible()
    expect(page.locator("#certificates").get_by_text("Our shop")).to_be_visible()
    shots_in_every_look(page, "upload-done")


def test_customer_uploads_without_javascript(plain_page: Page, live_server: LiveServer, shopper: User):
    made = chain_of("old.example.com", days=9)
    sign_in(plain_page, f"{live_server.url}/upload/", "shopper")
    plain_page.get_by_label("Name").fill("Old shop")
    plain_page.get_by_label("Certificate and chain").fill(made.pem)
    plain_page.get_by_label("Private key").fill(made.key_pem)
    plain_page.get_by_role("button", name="Upload").click()
    expect(plain_page.get_by_text("It has expired")).to_be_visible()


def test_customer_with_a_key_elsewhere_reads_how_to_make_a_keystore(page: Page, live_server: LiveServer, shopper: User):
    mine = bought(shopper, chain_of("*.example.com"), key=False)
    sign_in(page, f"{live_server.url}/certificates/{mine}/download/", "shopper")
    expect(page.locator("form[action$='/iis/'] button")).to_be_disabled()
    expect(page.get_by_text("-in _.example.com_nginx.pem").first).to_be_visible()
    shots_in_every_look(page, "download-without-key")
