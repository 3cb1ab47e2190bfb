"""What must always hold about money, held by PostgreSQL itself.

Entries are append-only (no UPDATE, DELETE, TRUNCATE), numbered without gaps, and each follows from the one
before; at commit a wallet equals its last entry and its held sum equals the rest of its open holds. Tests that
flush tables lift the truncation guard alone, by the connection option yuntu.allow_truncate.
"""

from django.db import migrations

GUARDS = """
CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' AND current_setting('yuntu.allow_truncate', true) = 'on' THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '% is append-only (% refused)', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER billing_entry_no_change BEFORE UPDATE OR DELETE ON billing_ledgerentry
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_entry_no_truncate BEFORE TRUNCATE ON billing_ledgerentry
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();

CREATE TRIGGER billing_hold_no_delete BEFORE DELETE ON billing_hold
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();

CREATE FUNCTION billing_check_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last billing_ledgerentry;
BEGIN
  SELECT * INTO last FROM billing_ledgerentry WHERE wallet_id = NEW.wallet_id ORDER BY sequence DESC LIMIT 1;
  IF NEW.sequence <> coalesce(last.sequence, 0) + 1
     OR NEW.balance_after <> coalesce(last.balance_after, 0) + NEW.amount
     OR NEW.held_after <> coalesce(last.held_after, 0) + NEW.held_delta THEN
    RAISE EXCEPTION 'ledger entry % does not follow from the one before it', NEW.id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER billing_entry_chain BEFORE INSERT ON billing_ledgerentry
  FOR EACH ROW EXECUTE FUNCTION billing_check_chain();

CREATE FUNCTION billing_check_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wallet billing_wallet;
  last billing_ledgerentry;
  open_holds numeric;
BEGIN
  IF TG_TABLE_NAME = 'billing_wallet' THEN
    SELECT * INTO wallet FROM billing_wallet WHERE id = NEW.id;
  ELSE
    SELECT * INTO wallet FROM billing_wallet WHERE id = NEW.wallet_id;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  SELECT * INTO last FROM billing_ledgerentry WHERE wallet_id = wallet.id ORDER BY sequence DESC LIMIT 1;
  IF wallet.sequence <> coalesce(last.sequence, 0) OR wallet.balance <> coalesce(last.balance_after, 0)
     OR wallet.held <> coalesce(last.held_after, 0) THEN
    RAISE EXCEPTION 'wallet % differs from its ledger', wallet.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  SELECT coalesce(sum(amount - captured - released), 0) INTO open_holds
    FROM billing_hold WHERE wallet_id = wallet.id AND status = 'open';
  IF wallet.held <> open_holds THEN
    RAISE EXCEPTION 'wallet % holds % but its open holds are %', wallet.id, wallet.held, open_holds
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_wallet_equals_ledger AFTER INSERT OR UPDATE ON billing_wallet
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_wallet();
CREATE CONSTRAINT TRIGGER billing_hold_equals_wallet AFTER INSERT OR UPDATE ON billing_hold
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_wallet();
CREATE CONSTRAINT TRIGGER billing_entry_equals_wallet AFTER INSERT ON billing_ledgerentry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_wallet();
"""

LIFT = """
DROP TRIGGER billing_entry_equals_wallet ON billing_ledgerentry;
DROP TRIGGER billing_hold_equals_wallet ON billing_hold;
DROP TRIGGER billing_wallet_equals_ledger ON billing_wallet;
DROP FUNCTION billing_check_wallet();
DROP TRIGGER billing_entry_chain ON billing_ledgerentry;
DROP FUNCTION billing_check_chain();
DROP TRIGGER billing_hold_no_delete ON billing_hold;
DROP TRIGGER billing_entry_no_truncate ON billing_ledgerentry;
DROP TRIGGER billing_entry_no_change ON billing_ledgerentry;
DROP FUNCTION billing_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [migrations.RunSQL(GUARDS, LIFT)]
