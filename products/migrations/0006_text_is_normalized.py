from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from commerce.core.stored_text import normalize_stored


def normalize(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    normalize_stored(schema_editor, apps.get_model("products", "Product"), name="NFC", description="NFC")


class Migration(migrations.Migration):
    # Row by row, while orders go on.
    atomic = False

    dependencies = [("products", "0005_movements_by_time_and_reason")]

    operations = [migrations.RunPython(normalize, migrations.RunPython.noop)]
