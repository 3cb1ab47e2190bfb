"""PostgreSQL holds that refunds are written once, are what their entry says, and never come to more than the bill."""

from django.db import migrations

GUARDS = """
CREATE FUNCTION billing_check_refund() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  bill billing_bill;
  given_back numeric;
BEGIN
  -- Whoever gives back of the same bill waits here, and then counts what this one gave.
  SELECT * INTO bill FROM billing_bill WHERE id = NEW.bill_id FOR NO KEY UPDATE;
  SELECT coalesce(sum(amount), 0) INTO given_back FROM billing_refund WHERE bill_id = NEW.bill_id;
  IF given_back + NEW.amount > bill.amount THEN
    RAISE EXCEPTION 'refunds of bill % would come to more than it', bill.id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NOT EXISTS (SELECT FROM billing_ledgerentry WHERE id = NEW.entry_id AND wallet_id = bill.wallet_id
                 AND kind = 'refund' AND amount = NEW.amount) THEN
    RAISE EXCEPTION 'refund % is not what its entry gave', NEW.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER billing_refund_within_bill BEFORE INSERT ON billing_refund
  FOR EACH ROW EXECUTE FUNCTION billing_check_refund();
CREATE TRIGGER billing_refund_no_change BEFORE UPDATE OR DELETE ON billing_refund
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_refund_no_truncate BEFORE TRUNCATE ON billing_refund
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""

LIFT = """
DROP TRIGGER billing_refund_no_truncate ON billing_refund;
DROP TRIGGER billing_refund_no_change ON billing_refund;
DROP TRIGGER billing_refund_within_bill ON billing_refund;
DROP FUNCTION billing_check_refund();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0017_plans_of_the_levels")]

    operations = [migrations.RunSQL(GUARDS, LIFT)]
