"""A code counts its redemptions and nothing else."""

from django.db import migrations

GUARDS = """
CREATE FUNCTION billing_check_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.uses <> OLD.uses + 1 OR NOT EXISTS (
       SELECT FROM billing_redemption WHERE voucher_id = NEW.id AND use_number = NEW.uses) THEN
    RAISE EXCEPTION 'voucher % has a use without its redemption', NEW.id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_voucher_use_is_redemption AFTER UPDATE OF uses ON billing_voucher
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_use();
"""

LIFT = """
DROP TRIGGER billing_voucher_use_is_redemption ON billing_voucher;
DROP FUNCTION billing_check_use();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0027_evidence_of_credits")]

    operations = [migrations.RunSQL(GUARDS, LIFT)]
