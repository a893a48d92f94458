from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0002_notice_address")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="unsettled_email",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                max_length=254,
                verbose_name="address to settle",
            ),
        ),
    ]
