"""Paid orders and their recharge entries are one to one; no more is paid back than was paid; what was asked for stays."""

from django.db import migrations

GUARDS = """
CREATE FUNCTION billing_check_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status = 'paid' AND NOT EXISTS (
       SELECT FROM billing_ledgerentry WHERE id = NEW.entry_id AND wallet_id = NEW.wallet_id AND kind = 'recharge'
        AND amount = NEW.amount AND key = 'order:' || NEW.order_no) THEN
    RAISE EXCEPTION 'order % is paid without its entry', NEW.order_no USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_order_has_entry AFTER INSERT OR UPDATE ON billing_rechargeorder
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_order();

CREATE FUNCTION billing_check_recharge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM billing_rechargeorder WHERE entry_id = NEW.id AND status = 'paid') THEN
    RAISE EXCEPTION 'entry % has no paid order', NEW.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_entry_has_order AFTER INSERT ON billing_ledgerentry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.key LIKE 'order:%')
  EXECUTE FUNCTION billing_check_recharge();

CREATE FUNCTION billing_check_paid_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  asked billing_rechargeorder;
  back numeric;
BEGIN
  SELECT * INTO asked FROM billing_rechargeorder WHERE id = NEW.order_id FOR NO KEY UPDATE;
  SELECT coalesce((SELECT sum(amount) FROM billing_refundorder WHERE order_id = asked.id AND status <> 'failed'), 0)
         + coalesce((SELECT sum(amount) FROM billing_receivable WHERE order_id = asked.id), 0) INTO back;
  IF asked.status <> 'paid' OR back > asked.amount THEN
    RAISE EXCEPTION 'more is paid back of order % than was paid', asked.order_no
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER billing_refund_not_exceeded AFTER INSERT ON billing_refundorder
  FOR EACH ROW EXECUTE FUNCTION billing_check_paid_back();
CREATE TRIGGER billing_chargeback_not_exceeded AFTER INSERT ON billing_receivable
  FOR EACH ROW EXECUTE FUNCTION billing_check_paid_back();

CREATE FUNCTION billing_check_credit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status = 'approved' AND NOT EXISTS (
       SELECT FROM billing_ledgerentry WHERE id = NEW.entry_id AND wallet_id = NEW.wallet_id AND kind = 'correction'
        AND amount = NEW.amount AND actor_id = NEW.checker_id) THEN
    RAISE EXCEPTION 'credit % is approved without its entry', NEW.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_credit_has_entry AFTER INSERT OR UPDATE ON billing_creditrequest
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_credit();

CREATE TRIGGER billing_order_no_delete BEFORE DELETE ON billing_rechargeorder
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_order_stays BEFORE UPDATE ON billing_rechargeorder
  FOR EACH ROW WHEN (
    OLD.wallet_id <> NEW.wallet_id OR OLD.payer_id <> NEW.payer_id OR OLD.channel <> NEW.channel
    OR OLD.merchant <> NEW.merchant OR OLD.amount <> NEW.amount OR OLD.currency <> NEW.currency
    OR OLD.order_no <> NEW.order_no OR OLD.key <> NEW.key
    OR OLD.status = 'paid' AND (NEW.status <> 'paid' OR OLD.entry_id <> NEW.entry_id))
  EXECUTE FUNCTION billing_refuse_change();

CREATE TRIGGER billing_refundorder_no_delete BEFORE DELETE ON billing_refundorder
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_refundorder_stays BEFORE UPDATE ON billing_refundorder
  FOR EACH ROW WHEN (
    OLD.order_id <> NEW.order_id OR OLD.amount <> NEW.amount OR OLD.refund_no <> NEW.refund_no
    OR OLD.hold_id <> NEW.hold_id OR OLD.status <> 'pending')
  EXECUTE FUNCTION billing_refuse_change();

CREATE TRIGGER billing_receivable_no_delete BEFORE DELETE ON billing_receivable
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_receivable_only_shrinks BEFORE UPDATE ON billing_receivable
  FOR EACH ROW WHEN (
    OLD.wallet_id <> NEW.wallet_id OR OLD.order_id <> NEW.order_id OR OLD.amount <> NEW.amount
    OR OLD.collected > NEW.collected)
  EXECUTE FUNCTION billing_refuse_change();

CREATE TRIGGER billing_creditrequest_no_delete BEFORE DELETE ON billing_creditrequest
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_creditrequest_stays BEFORE UPDATE ON billing_creditrequest
  FOR EACH ROW WHEN (
    OLD.status <> 'pending' OR OLD.wallet_id <> NEW.wallet_id OR OLD.amount <> NEW.amount
    OR OLD.maker_id <> NEW.maker_id OR OLD.reason <> NEW.reason)
  EXECUTE FUNCTION billing_refuse_change();
"""

LIFT = """
DROP TRIGGER billing_creditrequest_stays ON billing_creditrequest;
DROP TRIGGER billing_creditrequest_no_delete ON billing_creditrequest;
DROP TRIGGER billing_receivable_only_shrinks ON billing_receivable;
DROP TRIGGER billing_receivable_no_delete ON billing_receivable;
DROP TRIGGER billing_refundorder_stays ON billing_refundorder;
DROP TRIGGER billing_refundorder_no_delete ON billing_refundorder;
DROP TRIGGER billing_order_stays ON billing_rechargeorder;
DROP TRIGGER billing_order_no_delete ON billing_rechargeorder;
DROP TRIGGER billing_credit_has_entry ON billing_creditrequest;
DROP FUNCTION billing_check_credit();
DROP TRIGGER billing_chargeback_not_exceeded ON billing_receivable;
DROP TRIGGER billing_refund_not_exceeded ON billing_refundorder;
DROP FUNCTION billing_check_paid_back();
DROP TRIGGER billing_entry_has_order ON billing_ledgerentry;
DROP FUNCTION billing_check_recharge();
DROP TRIGGER billing_order_has_entry ON billing_rechargeorder;
DROP FUNCTION billing_check_order();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_recharge_orders_and_credits_by_hand")]

    operations = [migrations.RunSQL(GUARDS, LIFT)]
