"""A statement is written once; every day those are written and mailed that are missing, most on the first."""

from django.db import migrations

GUARDS = """
CREATE TRIGGER billing_statement_no_change BEFORE UPDATE ON billing_statement
  FOR EACH ROW WHEN ((OLD.wallet_id, OLD.month, OLD.first_sequence, OLD.last_sequence, OLD.opening, OLD.moved,
                      OLD.closing, OLD.opening_gift, OLD.closing_gift, OLD.closing_held, OLD.sums)
                     IS DISTINCT FROM
                     (NEW.wallet_id, NEW.month, NEW.first_sequence, NEW.last_sequence, NEW.opening, NEW.moved,
                      NEW.closing, NEW.opening_gift, NEW.closing_gift, NEW.closing_held, NEW.sums))
  EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_statement_no_delete BEFORE DELETE ON billing_statement
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_statement_no_truncate BEFORE TRUNCATE ON billing_statement
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""

LIFT = """
DROP TRIGGER billing_statement_no_truncate ON billing_statement;
DROP TRIGGER billing_statement_no_delete ON billing_statement;
DROP TRIGGER billing_statement_no_change ON billing_statement;
"""


def add_schedule(apps, schema_editor):
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="15", hour="2", day_of_week="*", day_of_month="*", month_of_year="*", timezone="Asia/Shanghai"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Write and mail monthly statements",
        defaults={"task": "billing.tasks.write_statements", "crontab": crontab},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0021_statements"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.RunSQL(GUARDS, LIFT),
        migrations.RunPython(add_schedule, migrations.RunPython.noop),
    ]
