import django.db.models.functions.text
from django.db import migrations, models

import core.email_fields


class Migration(migrations.Migration):
    dependencies = [("core", "0004_one_form_of_emails")]

    operations = [
        migrations.AlterModelManagers(name="user", managers=[]),
        migrations.RemoveConstraint(model_name="user", name="one_account_per_email"),
        migrations.AlterField(
            model_name="user",
            name="email",
            field=core.email_fields.EmailModelField(blank=True, max_length=254, verbose_name="email address"),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                condition=models.Q(("email", ""), _negated=True), fields=("email",), name="one_account_per_email"
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("email", django.db.models.functions.text.Lower("email"))),
                name="email_is_lower_case",
            ),
        ),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                condition=models.Q(("unsettled_email", ""), _negated=True), fields=["id"], name="accounts_to_settle"
            ),
        ),
    ]
