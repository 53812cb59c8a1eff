"""Refunds can be deleted together with their order, when it is archived.

A function is replaced without locking its table: workers of the release before notice nothing.
"""

from django.db import migrations

# An order is deleted only with its refunds (a foreign key), and its refunds only with the order. A refund's ledger
# entry must be gone before, and that is deleted only after a checkpoint covers it.
REFUNDS = """
CREATE OR REPLACE FUNCTION refund_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF TG_TABLE_NAME = 'refund' THEN
            IF NOT EXISTS (SELECT FROM "order" WHERE id = OLD.order_id) AND NOT EXISTS (
                SELECT FROM user_balance_tx WHERE order_id = OLD.order_id AND type = 'REFUND' AND refund_id = OLD.id
            ) THEN
                RETURN OLD;
            END IF;
        ELSIF NOT EXISTS (SELECT FROM refund WHERE id = OLD.refund_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'Refunds are append-only: % of % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'refund_is_append_only';
END
$$;
"""

# As it was before.
REFUNDS_BACK = """
CREATE OR REPLACE FUNCTION refund_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Refunds are append-only: % of % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'refund_is_append_only';
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("archive", "0001_initial"),
        ("balances", "0007_entry_of_a_refund"),
        ("orders", "0004_refunds_are_append_only"),
    ]

    operations = [migrations.RunSQL(REFUNDS, REFUNDS_BACK)]
