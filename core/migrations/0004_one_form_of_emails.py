"""Bring the addresses of accounts into the form of `core.email_addresses`.

Of two accounts whose addresses become the same, the older keeps it. The younger one's, and an address that has no such
form, moves to `unsettled_email` as it was stored: it opens nothing until staff settle it.
"""

from django.db import migrations

from core.email_addresses import BadEmail, normalize_email


def bring_to_form(apps, schema_editor):
    users = apps.get_model("core", "User").objects.using(schema_editor.connection.alias)
    form_by_account, unsettled = {}, {}
    stored = users.exclude(email="").order_by("date_joined", "pk").values_list("pk", "email")
    taken = set()
    for pk, email in list(stored):
        form = _form_of(email)
        if form is None or form in taken:
            unsettled[pk] = email
        else:
            taken.add(form)
            form_by_account[pk] = (email, form)
    # First free the addresses, so that no form meets one that is about to go.
    for pk, email in unsettled.items():
        users.filter(pk=pk).update(email="", unsettled_email=email)
    for pk, (email, form) in form_by_account.items():
        if form != email:
            users.filter(pk=pk).update(email=form)
    _bring_allauths_rows(apps, schema_editor)


def _bring_allauths_rows(apps, schema_editor):
    """An account's own address is the only one that may open it."""
    rows = apps.get_model("account", "EmailAddress").objects.using(schema_editor.connection.alias)
    form_by_row, followed = {}, set()
    for row in list(rows.select_related("user").order_by("user_id", "-verified", "-primary", "pk")):
        form = _form_of(row.email)
        if form is not None and form == row.user.email and row.user_id not in followed:
            followed.add(row.user_id)
            form_by_row[row.pk] = form
        else:
            row.delete()
    for pk, form in form_by_row.items():
        rows.filter(pk=pk).exclude(email=form).update(email=form)


def _form_of(email):
    try:
        return normalize_email(email)
    except BadEmail:
        return None


class Migration(migrations.Migration):
    dependencies = [("core", "0003_unsettled_email"), ("account", "0009_emailaddress_unique_primary_email")]

    operations = [migrations.RunPython(bring_to_form, migrations.RunPython.noop)]
