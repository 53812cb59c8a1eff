from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from commerce.core.stored_text import normalize_stored


def normalize(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    normalize_stored(schema_editor, apps.get_model("coupons", "Coupon"), name="NFC")


class Migration(migrations.Migration):
    # Row by row, while coupons are issued.
    atomic = False

    dependencies = [("coupons", "0006_take_caps_off_fixed_coupons")]

    operations = [migrations.RunPython(normalize, migrations.RunPython.noop)]
