from datetime import timedelta

from django.db import migrations
from django.db.models import F

MOST_CERTIFICATES = 10


def fill_places(apps, schema_editor):
    """As `place_in_list` does it for new ones."""
    certificates = apps.get_model("certificates", "Certificate").objects.filter(listed_at=None)
    for position in range(1, MOST_CERTIFICATES + 1):
        room = timedelta(microseconds=10 * position)
        certificates.filter(position=position).update(listed_at=F("purchased_at") + room)
    certificates.update(listed_at=F("purchased_at"))


class Migration(migrations.Migration):
    dependencies = [("certificates", "0003_lifecycle")]

    operations = [migrations.RunPython(fill_places, migrations.RunPython.noop, elidable=True)]
