import django.contrib.postgres.indexes
from django.db import migrations, models
from django.db.models.functions import Upper

import balances.models
from commerce.core.postgresql.migrations import AddIndexConcurrently


def _begins(expression: object, name: str) -> AddIndexConcurrently:
    pattern = django.contrib.postgres.indexes.OpClass(Upper(expression), "text_pattern_ops")
    return AddIndexConcurrently("user", models.Index(pattern, name=name))


class Migration(migrations.Migration):
    # The indexes are built while customers charge and pay.
    atomic = False

    dependencies = [("balances", "0005_text_is_normalized")]

    operations = [
        _begins("username", "user_username_begins"),
        _begins(balances.models.WithoutSpaces("last_name", "first_name"), "user_last_name_begins"),
        _begins(balances.models.WithoutSpaces("first_name", "last_name"), "user_first_name_begins"),
    ]
