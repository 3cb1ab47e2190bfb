"""Holds are not truncated and a closed one stays as it is; bills and their lines are written once."""

from django.db import migrations

GUARDS = """
CREATE TRIGGER billing_hold_no_truncate BEFORE TRUNCATE ON billing_hold
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_hold_closed_for_good BEFORE UPDATE ON billing_hold
  FOR EACH ROW WHEN (OLD.status = 'closed') EXECUTE FUNCTION billing_refuse_change();

CREATE TRIGGER billing_bill_no_change BEFORE UPDATE OR DELETE ON billing_bill
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_bill_no_truncate BEFORE TRUNCATE ON billing_bill
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_billline_no_change BEFORE UPDATE OR DELETE ON billing_billline
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_billline_no_truncate BEFORE TRUNCATE ON billing_billline
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();

CREATE FUNCTION billing_check_bill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM billing_hold WHERE id = NEW.hold_id AND status = 'closed'
                 AND wallet_id = NEW.wallet_id AND captured = NEW.amount) THEN
    RAISE EXCEPTION 'bill % is not what its hold captured', NEW.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_bill_equals_capture AFTER INSERT ON billing_bill
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_bill();
"""

LIFT = """
DROP TRIGGER billing_bill_equals_capture ON billing_bill;
DROP FUNCTION billing_check_bill();
DROP TRIGGER billing_billline_no_truncate ON billing_billline;
DROP TRIGGER billing_billline_no_change ON billing_billline;
DROP TRIGGER billing_bill_no_truncate ON billing_bill;
DROP TRIGGER billing_bill_no_change ON billing_bill;
DROP TRIGGER billing_hold_closed_for_good ON billing_hold;
DROP TRIGGER billing_hold_no_truncate ON billing_hold;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_default_price")]

    operations = [migrations.RunSQL(GUARDS, LIFT)]
