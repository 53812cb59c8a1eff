from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from commerce.core.stored_text import normalize_stored


def normalize(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    # User names in the form that Django's own forms give them.
    forms = {"username": "NFKC", "first_name": "NFC", "last_name": "NFC", "email": "NFC"}
    normalize_stored(schema_editor, apps.get_model("balances", "User"), **forms)


class Migration(migrations.Migration):
    # Row by row, while customers charge and pay.
    atomic = False

    dependencies = [("balances", "0004_staff_look_and_adjust")]

    operations = [migrations.RunPython(normalize, migrations.RunPython.noop)]
