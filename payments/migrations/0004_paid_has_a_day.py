from django.db import migrations, models


class Migration(migrations.Migration):
    # Apart from the one that fills the days in: PostgreSQL does not alter a table with rows changed before.

    dependencies = [("payments", "0003_channels")]

    operations = [
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=models.Q(("given_up_at", None), ("state__in", ["failed", "returned"]), _connector="OR"),
                name="only_failed_payouts_given_up",
            ),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("booked_on__isnull", False), ("state__in", ["paid", "returned"])),
                    models.Q(models.Q(("state__in", ["paid", "returned"]), _negated=True), ("booked_on", None)),
                    _connector="OR",
                ),
                name="paid_payout_has_a_day",
            ),
        ),
    ]
