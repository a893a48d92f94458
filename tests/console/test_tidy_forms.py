"""Every form drops what nobody can see, and refuses what's too long before anything looks into it."""

import inspect
from importlib import import_module
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from allauth.account import app_settings as allauth
from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from django.utils.module_loading import import_string

from certificates import names as domain_names
from certificates.forms import applying
from certificates.forms.applying import LONGEST_CSR, LONGEST_DOMAINS
from certificates.forms.uploading import MOST_BYTES
from core.desk.acts import ActForm
from core.forms import LONGEST_LINE, LONGEST_TEXT, CodeField, PanelForm, TidyForm
from core.models import User
from core.text import read_search
from payments.channels.bank import LARGEST_ANSWER
from refunds.admin.bulk import LIMIT
from refunds.pages.request_form import ReasonForm
from tests import factories
from tests.conftest import signed_in
from tests.lifecycle.applying import OV, address, bought

FLOORS = ("core", "payments", "certificates", "refunds", "console")


def forms_of_the_console() -> set[type[forms.BaseForm]]:
    """Every form that a module of ours defines."""
    found = set()
    for floor in FLOORS:
        for file in Path(settings.BASE_DIR, floor).rglob("*.py"):
            if "forms.Form" in (text := file.read_text()) or "Form)" in text or "Form," in text:
                parts = file.relative_to(settings.BASE_DIR).with_suffix("").parts
                module = import_module(".".join(part for part in parts if part != "__init__"))
                found |= {
                    each
                    for _name, each in inspect.getmembers(module, inspect.isclass)
                    if issubclass(each, forms.BaseForm) and each.__module__ == module.__name__
                }
    return found


def test_every_form_of_the_console_is_tidy():
    found = forms_of_the_console()
    assert len(found) > 25
    assert not [each for each in found if not issubclass(each, TidyForm)]


def test_every_form_of_the_desk_is_tidy():
    desks = admin.site._registry.values()
    ours = [
        getattr(desk, name)
        for desk in desks
        for name in ("form", "add_form", "change_password_form")
        if hasattr(desk, name)
    ]
    assert not [each for each in ours if not issubclass(each, TidyForm)]


@pytest.mark.parametrize("name", sorted(settings.ACCOUNT_FORMS))
def test_every_form_of_an_account_is_tidy(name):
    assert issubclass(import_string(allauth.FORMS[name]), TidyForm)


# --- What is dropped ---------------------------------------------------------------------------


class Example(PanelForm):
    line = forms.CharField(max_length=10)
    area = forms.CharField(widget=forms.Textarea, required=False)
    code = CodeField(required=False)
    number = forms.IntegerField(required=False)
    day = forms.DateField(required=False)
    password = forms.CharField(widget=forms.PasswordInput, strip=False, required=False)
    hidden = forms.CharField(widget=forms.HiddenInput, required=False)
    choice = forms.ChoiceField(choices=[("a", "A")], required=False)


def cleaned(**sent: str) -> dict[str, object]:
    form = Example({"line": "x", **sent})
    assert form.is_valid(), form.errors
    return form.cleaned_data


@pytest.mark.parametrize(
    ("field", "sent", "read"),
    [
        ("line", "\u202dab\u00a0c\u202c\r\nd", "ab c d"),
        ("line", "①", "①"),
        ("area", "one \r\n\u200btwo\u2028three", "one\ntwo\nthree"),
        ("code", "ｒｅ－１２", "re-12"),
        ("number", "\u202d４２\u00a0", 42),
        ("password", " a\u200bb\u00a0 ", " a\u200bb\u00a0 "),
        ("hidden", "a\u200bb", "a\u200bb"),
    ],
)
def test_what_nobody_can_see_is_dropped_but_from_secrets(field, sent, read):
    assert cleaned(**{field: sent})[field] == read


def test_day_is_read_in_any_width():
    assert str(cleaned(day="２０２６－１１－２３")["day"]) == "2026-11-23"


def test_what_is_shown_again_is_what_was_read():
    form = Example(QueryDict("line=&area=%E2%80%AEa%0D%0Ab"))
    assert not form.is_valid()
    assert form["area"].value() == "a\nb"


def test_field_that_is_left_out_stays_left_out():
    assert not Example({}).is_valid()
    assert Example({}).data == {}


# --- Lengths -----------------------------------------------------------------------------------


def counting(calls: list[str]):
    def validator(text: str) -> None:
        calls.append(text)

    return validator


@pytest.mark.parametrize("length", [11, LONGEST_LINE, LONGEST_LINE + 1, 2_000_000])
def test_validators_do_not_see_what_is_too_long(length):
    calls: list[str] = []
    form = Example({"line": "x" * length})
    form.fields["line"].validators.insert(0, counting(calls))
    assert not form.is_valid()
    assert (calls, list(form.errors)) == ([], ["line"])
    assert f"(it has {length})" in form.errors["line"][0]
    assert "line" not in form.cleaned_data


def test_length_is_that_of_what_somebody_can_see():
    assert cleaned(line="\u200b" * 500 + "x" * 10 + " " * 500)["line"] == "x" * 10


@pytest.mark.parametrize(("field", "most"), [("line", LONGEST_LINE), ("area", LONGEST_TEXT)])
def test_typed_text_comes_back_whole_and_an_endless_one_as_its_beginning(field, most):
    typed = Example({"line": "x" * 11, field: "x" * most})
    assert typed[field].value() == "x" * most
    assert "cut off" not in str(typed.errors)
    pasted = Example({"line": "x" * 11, field: "x" * 1_000_000})
    assert pasted[field].value() == "x" * most
    assert "1000000 characters; its end was cut off" in str(pasted.errors)


def test_customer_gets_no_page_of_200_kilobytes_back_for_a_line_that_was_too_long(customer):
    where = address(bought(customer, "OV"))
    first = signed_in(customer).get(where)
    answer = signed_in(customer).post(where, {**OV, "contact_name": '"' * 200_000, "company_city": '"' * 100_000})
    assert "too long" in answer.content.decode()
    assert len(answer.content) - len(first.content) < 60_000


@pytest.mark.parametrize("field", ["area", "password", "hidden"])
def test_field_without_a_limit_of_its_own_has_one(field):
    form = Example({"line": "x", field: "x" * (LONGEST_TEXT + 1)})
    assert "too long" in form.errors[field][0]


@pytest.mark.parametrize("field", ["number", "day", "choice"])
def test_value_of_a_megabyte_is_refused_and_not_shown_whole(field):
    form = Example({"line": "x", field: "1" * 1_000_000})
    assert list(form.errors) == [field]
    assert len(str(form)) < 20_000


def test_text_beside_another_reason_counts_for_nothing_however_long():
    assert ReasonForm({"reason": "no_need", "reason_text": "x" * 1_000_000}).is_valid()


@pytest.mark.django_db
def test_nothing_reads_domains_or_a_request_that_are_too_long(
    as_customer: Client, customer: User, monkeypatch: pytest.MonkeyPatch, frozen: object
):
    calls: list[str] = []
    monkeypatch.setattr(applying, "names_of", lambda text, *_: calls.append("names"))
    monkeypatch.setattr(applying, "read_request", lambda text, *_, **__: calls.append("csr"))
    monkeypatch.setattr(domain_names.idna, "uts46_remap", lambda *_, **__: calls.append("idna"))
    long = {name: "a." * 16_000 for name in OV if name not in ("csr", "key_type", "verification", "company_country")}
    answer = as_customer.post(
        address(bought(customer, "OV")), {**OV, **long, "key_type": "pasted", "csr": "x" * (LONGEST_CSR + 1)}
    )
    assert answer.status_code == 422
    assert calls == []
    assert len(answer.content) < 600_000


# --- Limits of a request -----------------------------------------------------------------------


def test_limits_fit_the_largest_forms():
    """As browsers write them: three characters for each octet that is no letter or digit."""
    domains = len(quote_plus("界\r\n" * (LONGEST_DOMAINS // 2)))
    csr = len(quote_plus("+/" * (LONGEST_CSR // 64) + "A" * (LONGEST_CSR * 62 // 64) + "\r\n" * (LONGEST_CSR // 64)))
    assert domains + csr < settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert MOST_BYTES * 1.5 < settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert LARGEST_ANSWER + settings.DATA_UPLOAD_MAX_MEMORY_SIZE < settings.LARGEST_REQUEST
    assert settings.FILE_UPLOAD_MAX_MEMORY_SIZE == settings.LARGEST_REQUEST
    assert LIMIT * 2 < settings.DATA_UPLOAD_MAX_NUMBER_FIELDS


def sent(kind: str) -> tuple[object, str]:
    form = "application/x-www-form-urlencoded"
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n1\r\n' for _ in range(5))
    return {
        "text": (b"a=" + b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE, form),
        "fields": (b"a=1&" * (settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1), form),
        "body": (b"x" * (settings.LARGEST_REQUEST + 1), "multipart/form-data; boundary=x"),
        "files": (parts + b"--x--\r\n", "multipart/form-data; boundary=x"),
    }[kind]


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "htmx"])
@pytest.mark.parametrize("page", ["upload", "settings", "account_login", "admin:core_job_changelist"])
@pytest.mark.parametrize("kind", ["text", "fields", "body", "files"])
def test_request_that_is_too_large_is_answered_with_a_page(customer, as_customer, kind, page, headers):
    User.objects.filter(pk=customer.pk).update(is_staff=True, is_superuser=True)
    body, content_type = sent(kind)
    answer = as_customer.generic("POST", reverse(page), body, content_type=content_type, headers=headers)
    assert answer.status_code == 413
    assert "This is too large" in answer.content.decode()
    assert "Content-Security-Policy" in answer


@pytest.mark.django_db
@pytest.mark.parametrize("length", ["", "abc", "0", "²"])
def test_strange_length_is_read_as_none(as_customer, length):
    answer = as_customer.post(reverse("upload"), CONTENT_LENGTH=length)
    assert answer.status_code == 422


@pytest.mark.django_db
def test_endless_length_is_too_large(as_customer):
    assert as_customer.post(reverse("upload"), CONTENT_LENGTH="9" * 5000).status_code == 413


def test_panels_show_the_answer_about_what_is_too_large():
    page = Path(settings.BASE_DIR, "templates/layouts/base.html").read_text()
    assert '{"code":"40[0349]|413|422","swap":true}' in page


def test_acts_are_panels():
    assert issubclass(ActForm, PanelForm)


# --- Search boxes ------------------------------------------------------------------------------


@pytest.mark.parametrize("pasted", ["\u202d{}\u202c", "\u00a0{}\u200b", "{}\u3000"])
@pytest.mark.django_db
def test_search_finds_what_was_pasted_with_what_nobody_can_see(as_customer, customer, frozen, pasted):
    found = factories.certificate(customer)
    factories.certificate(customer, domains=("other.example.net",))
    page = as_customer.get("/", {"q": pasted.format(found.instance_id)}).content.decode()
    assert "shop.example.com" in page and "other.example.net" not in page


@pytest.mark.django_db
def test_search_reads_full_width_characters_of_a_code_and_leaves_other_names_alone(frozen, customer, as_customer):
    found = factories.certificate(customer)
    wide = "".join(chr(ord(char) + 0xFEE0) for char in found.instance_id)
    assert found.name in as_customer.get("/", {"q": wide}).content.decode()
    assert read_search("ＡＢ店", limit=100) == "ＡＢ店"


@pytest.mark.django_db
def test_desk_finds_what_was_pasted_with_what_nobody_can_see(customer, frozen):
    request = factories.submit(factories.certificate(customer))
    root = factories.UserFactory(username="root", is_staff=True, is_superuser=True)
    address = reverse("admin:refunds_refundrequest_changelist")
    page = signed_in(root).get(address, {"q": f"\u202d{request}\u202c\u00a0", "state": "all"})
    assert str(request) in page.content.decode()


# --- Signing in --------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["\u202dcustomer\u202c", "customer\u00a0", "ｃｕｓｔｏｍｅｒ"])
def test_customer_signs_in_by_a_pasted_name_but_a_password_is_taken_as_it_is(client, customer, name):
    password = {"login": name, "password": "refund-demo"}
    assert client.post(reverse("account_login"), {**password, "password": "refund-demo\u200b"}).status_code != 302
    assert client.post(reverse("account_login"), password).status_code == 302
