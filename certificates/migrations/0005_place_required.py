from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("certificates", "0004_places")]

    operations = [
        migrations.AlterField(
            model_name="certificate",
            name="listed_at",
            field=models.DateTimeField(editable=False, verbose_name="place in the list"),
        ),
    ]
