"""What was asked for and approved stays, a code gives what its batch says and no oftener; the schedules of vouchers."""

from django.db import migrations

GUARDS = """
CREATE TRIGGER billing_voucherbatch_no_delete BEFORE DELETE ON billing_voucherbatch
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_voucherbatch_stays BEFORE UPDATE ON billing_voucherbatch
  FOR EACH ROW WHEN (
    OLD.status IN ('rejected', 'withdrawn', 'revoked', 'expired')
    OR OLD.status <> 'pending' AND (NEW.status = 'pending' OR OLD.checker_id <> NEW.checker_id)
    OR (OLD.name, OLD.currency, OLD.amount, OLD.gift_days, OLD.is_shared, OLD.count, OLD.per_user_limit, OLD.valid_from,
        OLD.valid_until, OLD.reason, OLD.maker_id)
       IS DISTINCT FROM
       (NEW.name, NEW.currency, NEW.amount, NEW.gift_days, NEW.is_shared, NEW.count, NEW.per_user_limit, NEW.valid_from,
        NEW.valid_until, NEW.reason, NEW.maker_id))
  EXECUTE FUNCTION billing_refuse_change();

CREATE FUNCTION billing_check_vouchers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Once for all codes of a statement: they come by the thousand.
  IF EXISTS (
       SELECT FROM billing_voucherbatch AS batch
        WHERE batch.id IN (SELECT batch_id FROM fresh)
          AND (batch.status <> 'issued'
               OR (SELECT sum(max_uses) FROM billing_voucher WHERE batch_id = batch.id) > batch.count
               OR EXISTS (SELECT FROM fresh WHERE batch_id = batch.id
                          AND (uses <> 0 OR max_uses <> CASE WHEN batch.is_shared THEN batch.count ELSE 1 END)))) THEN
    RAISE EXCEPTION 'vouchers are not what was approved' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER billing_voucher_as_approved AFTER INSERT ON billing_voucher REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION billing_check_vouchers();
CREATE TRIGGER billing_voucher_no_delete BEFORE DELETE ON billing_voucher
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_voucher_only_used BEFORE UPDATE ON billing_voucher
  FOR EACH ROW WHEN (
    NEW.uses < OLD.uses OR (OLD.batch_id, OLD.code_hash, OLD.suffix, OLD.max_uses)
                           IS DISTINCT FROM (NEW.batch_id, NEW.code_hash, NEW.suffix, NEW.max_uses))
  EXECUTE FUNCTION billing_refuse_change();

CREATE FUNCTION billing_check_redemption() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  voucher billing_voucher;
  batch billing_voucherbatch;
BEGIN
  SELECT * INTO voucher FROM billing_voucher WHERE id = NEW.voucher_id;
  SELECT * INTO batch FROM billing_voucherbatch WHERE id = NEW.batch_id;
  IF voucher.batch_id <> batch.id OR NEW.use_number <> voucher.uses OR batch.status <> 'issued'
     OR NEW.user_number < 1 OR NEW.user_number > batch.per_user_limit
     OR NEW.user_id IN (batch.maker_id, batch.checker_id) THEN
    RAISE EXCEPTION 'voucher % may not be redeemed', voucher.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NOT EXISTS (
       SELECT FROM billing_gift AS gift
         JOIN billing_wallet AS wallet ON wallet.id = gift.wallet_id
         JOIN billing_ledgerentry AS entry ON entry.id = gift.entry_id
        WHERE gift.id = NEW.gift_id AND gift.amount = batch.amount AND wallet.user_id = NEW.user_id
          AND wallet.currency = batch.currency AND entry.kind = 'grant'
          AND entry.key = 'voucher:' || voucher.id || ':' || NEW.use_number) THEN
    RAISE EXCEPTION 'redemption % is not what its gift is', NEW.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER billing_redemption_as_issued AFTER INSERT ON billing_redemption
  FOR EACH ROW EXECUTE FUNCTION billing_check_redemption();
CREATE TRIGGER billing_redemption_no_change BEFORE UPDATE OR DELETE ON billing_redemption
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_redemption_no_truncate BEFORE TRUNCATE ON billing_redemption
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""

LIFT = """
DROP TRIGGER billing_redemption_no_truncate ON billing_redemption;
DROP TRIGGER billing_redemption_no_change ON billing_redemption;
DROP TRIGGER billing_redemption_as_issued ON billing_redemption;
DROP FUNCTION billing_check_redemption();
DROP TRIGGER billing_voucher_only_used ON billing_voucher;
DROP TRIGGER billing_voucher_no_delete ON billing_voucher;
DROP TRIGGER billing_voucher_as_approved ON billing_voucher;
DROP FUNCTION billing_check_vouchers();
DROP TRIGGER billing_voucherbatch_stays ON billing_voucherbatch;
DROP TRIGGER billing_voucherbatch_no_delete ON billing_voucherbatch;
"""

SCHEDULE = [
    ("Close voucher batches whose time is over", "billing.tasks.expire_vouchers", "10", "*"),
    # When people read it, and long enough before.
    ("Tell of gifts that expire within a week", "billing.tasks.tell_of_gifts", "0", "10"),
]
"""Name, task, minute and hour of Asia/Shanghai."""


def add_schedule(apps, schema_editor):
    for name, task, minute, hour in SCHEDULE:
        crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
            minute=minute,
            hour=hour,
            day_of_week="*",
            day_of_month="*",
            month_of_year="*",
            timezone="Asia/Shanghai",
        )
        apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
            name=name, defaults={"task": task, "crontab": crontab}
        )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0023_vouchers"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.RunSQL(GUARDS, LIFT),
        migrations.RunPython(add_schedule, migrations.RunPython.noop),
    ]
