from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("certificates", "0006_found_refunds"),
    ]

    operations = [
        migrations.AlterField(
            model_name="order",
            name="policy",
            field=models.CharField(max_length=30, verbose_name="refund policy"),
        ),
    ]
