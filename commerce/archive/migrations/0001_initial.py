"""Checkpoints, and triggers that let nothing be deleted but what a checkpoint has reached.

A function is replaced without locking its table: workers of the release before notice nothing.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Length
from django.db.models.lookups import Exact

LEDGER = """
CREATE OR REPLACE FUNCTION user_balance_tx_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM ledger_checkpoint WHERE user_id = OLD.user_id AND entry_id >= OLD.id
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'The ledger is append-only: % of user_balance_tx is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'user_balance_tx_is_append_only';
END
$$;
CREATE FUNCTION ledger_checkpoint_is_an_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' AND EXISTS (
        SELECT FROM user_balance_tx
        WHERE id = NEW.entry_id AND user_id = NEW.user_id AND balance_after = NEW.balance
          AND entry_hash = NEW.entry_hash
    ) AND (TG_OP = 'INSERT' OR (NEW.user_id = OLD.user_id AND NEW.entry_id > OLD.entry_id)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A checkpoint of the ledger moves forward to an entry: % of ledger_checkpoint is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_checkpoint_is_an_entry';
END
$$;
CREATE TRIGGER ledger_checkpoint_is_an_entry BEFORE INSERT OR UPDATE OR DELETE ON ledger_checkpoint
    FOR EACH ROW EXECUTE FUNCTION ledger_checkpoint_is_an_entry();
"""

STOCK = """
CREATE OR REPLACE FUNCTION stock_movement_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM stock_checkpoint WHERE product_id = OLD.product_id AND movement_id >= OLD.id
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'Stock movements are append-only: % of stock_movement is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'stock_movement_is_append_only';
END
$$;
CREATE FUNCTION stock_checkpoint_is_its_movements() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    IF TG_OP <> 'DELETE' THEN
        SELECT coalesce(sum(quantity), 0) INTO moved FROM stock_movement
        WHERE product_id = NEW.product_id AND id <= NEW.movement_id;
        IF TG_OP = 'INSERT' AND NEW.stock = moved THEN
            RETURN NEW;
        END IF;
        IF TG_OP = 'UPDATE' AND NEW.product_id = OLD.product_id AND NEW.movement_id > OLD.movement_id
            AND NEW.stock = OLD.stock + moved THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'A checkpoint of a stock moves forward by its movements: % of stock_checkpoint is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'stock_checkpoint_is_its_movements';
END
$$;
CREATE TRIGGER stock_checkpoint_is_its_movements BEFORE INSERT OR UPDATE OR DELETE ON stock_checkpoint
    FOR EACH ROW EXECUTE FUNCTION stock_checkpoint_is_its_movements();
"""

# As they were before.
LEDGER_BACK = """
DROP TRIGGER ledger_checkpoint_is_an_entry ON ledger_checkpoint;
DROP FUNCTION ledger_checkpoint_is_an_entry();
CREATE OR REPLACE FUNCTION user_balance_tx_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The ledger is append-only: % of user_balance_tx is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'user_balance_tx_is_append_only';
END
$$;
"""
STOCK_BACK = """
DROP TRIGGER stock_checkpoint_is_its_movements ON stock_checkpoint;
DROP FUNCTION stock_checkpoint_is_its_movements();
CREATE OR REPLACE FUNCTION stock_movement_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Stock movements are append-only: % of stock_movement is refused.', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'stock_movement_is_append_only';
END
$$;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [("balances", "0006_search_by_names"), ("products", "0007_import_line_message")]

    operations = [
        migrations.CreateModel(
            name="ArchivedPage",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("table_name", models.CharField(max_length=63)),
                ("first_id", models.BigIntegerField()),
                ("last_id", models.BigIntegerField()),
                ("row_count", models.PositiveIntegerField()),
                ("file_name", models.CharField(max_length=120, unique=True)),
                ("sha256", models.BinaryField()),
                ("archived_at", models.DateTimeField()),
            ],
            options={
                "db_table": "archived_page",
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(condition=Exact(Length("sha256"), 32), name="archived_page_sha256")
                ],
            },
        ),
        migrations.CreateModel(
            name="LedgerCheckpoint",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("entry_id", models.BigIntegerField()),
                ("balance", models.BigIntegerField()),
                ("entry_hash", models.BinaryField()),
                ("covers_until", models.DateTimeField()),
            ],
            options={
                "db_table": "ledger_checkpoint",
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("balance__gte", 0)), name="ledger_checkpoint_balance_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=Exact(Length("entry_hash"), 32), name="ledger_checkpoint_hash_is_sha256"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StockCheckpoint",
            fields=[
                (
                    "product",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="products.product",
                    ),
                ),
                ("movement_id", models.BigIntegerField()),
                ("stock", models.BigIntegerField()),
                ("covers_until", models.DateTimeField()),
            ],
            options={"db_table": "stock_checkpoint", "default_permissions": ()},
        ),
        migrations.RunSQL(LEDGER, LEDGER_BACK),
        migrations.RunSQL(STOCK, STOCK_BACK),
    ]
