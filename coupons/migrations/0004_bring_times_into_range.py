from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

# A second apart at each end, so that a window still starts before it ends.
COUPONS = """
    UPDATE coupon SET
        issue_starts_at = greatest('1970-01-02 00:00:00Z', least(issue_starts_at, '2199-12-31 00:00:00Z')),
        issue_ends_at = greatest('1970-01-02 00:00:01Z', least(issue_ends_at, '2199-12-31 00:00:01Z')),
        valid_until = greatest('1970-01-02 00:00:01Z', least(valid_until, '2199-12-31 00:00:01Z'))
    WHERE issue_starts_at < '1970-01-02Z' OR valid_until > '2199-12-31 00:00:01Z'
"""
HELD = """
    UPDATE user_coupon SET expires_at = greatest('1970-01-02 00:00:01Z', least(expires_at, '2199-12-31 00:00:01Z'))
    WHERE expires_at < '1970-01-02Z' OR expires_at > '2199-12-31 00:00:01Z'
"""


class Migration(migrations.Migration):
    dependencies = [("coupons", "0003_times_in_range")]

    operations = [
        # A million issued coupons are read through, while the shop goes on.
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.RunSQL(COUPONS, migrations.RunSQL.noop),
        migrations.RunSQL(HELD, migrations.RunSQL.noop),
        ValidateConstraint("coupon", "coupon_times_in_range"),
        ValidateConstraint("usercoupon", "user_coupon_expiry_in_range"),
    ]
