from django.db import migrations, models


class Migration(migrations.Migration):
    # The column keeps its name, which the code of before reads and writes.
    dependencies = [("products", "0006_text_is_normalized")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("importline", "told", "message"),
                migrations.AlterField("importline", "message", models.TextField(blank=True, db_column="told")),
            ]
        )
    ]
