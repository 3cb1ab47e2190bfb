"""What an invoice was asked for and which bills it is of stays written; together invoices are never more than a bill."""

from django.db import migrations

GUARDS = """
CREATE TRIGGER billing_invoice_no_change BEFORE UPDATE ON billing_invoicerequest
  FOR EACH ROW WHEN ((OLD.wallet_id, OLD.requester_id, OLD.key, OLD.kind, OLD.title_kind, OLD.title, OLD.tax_number,
                      OLD.details, OLD.email, OLD.amount, OLD.first_day, OLD.last_day)
                     IS DISTINCT FROM
                     (NEW.wallet_id, NEW.requester_id, NEW.key, NEW.kind, NEW.title_kind, NEW.title, NEW.tax_number,
                      NEW.details, NEW.email, NEW.amount, NEW.first_day, NEW.last_day))
  EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_invoice_number_stays BEFORE UPDATE ON billing_invoicerequest
  FOR EACH ROW WHEN (OLD.number <> '' AND (OLD.number, OLD.issued_on, OLD.document_id)
                     IS DISTINCT FROM (NEW.number, NEW.issued_on, NEW.document_id))
  EXECUTE FUNCTION billing_refuse_change();
-- What was freed may be taken up by another invoice since.
CREATE TRIGGER billing_invoice_stays_over BEFORE UPDATE ON billing_invoicerequest
  FOR EACH ROW WHEN (OLD.status IN ('rejected', 'cancelled', 'red_flushed') AND NEW.status <> OLD.status)
  EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_invoice_no_delete BEFORE DELETE ON billing_invoicerequest
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_invoice_no_truncate BEFORE TRUNCATE ON billing_invoicerequest
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_invoiceline_no_change BEFORE UPDATE OR DELETE ON billing_invoiceline
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_invoiceline_no_truncate BEFORE TRUNCATE ON billing_invoiceline
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();

CREATE FUNCTION billing_check_invoiceline() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  bill billing_bill;
  invoice billing_invoicerequest;
  given_back numeric;
  taken numeric;
BEGIN
  SELECT * INTO invoice FROM billing_invoicerequest WHERE id = NEW.invoice_id;
  -- Whoever invoices or gives back of the same bill waits here, and then counts what this one took.
  SELECT * INTO bill FROM billing_bill WHERE id = NEW.bill_id FOR NO KEY UPDATE;
  SELECT coalesce(sum(amount), 0) INTO given_back FROM billing_refund WHERE bill_id = NEW.bill_id;
  SELECT coalesce(sum(l.amount), 0) INTO taken
    FROM billing_invoiceline l JOIN billing_invoicerequest i ON i.id = l.invoice_id
   WHERE l.bill_id = NEW.bill_id AND i.status IN ('requested', 'issuing', 'issued');
  IF invoice.wallet_id <> bill.wallet_id OR invoice.status <> 'requested' THEN
    RAISE EXCEPTION 'bill % is not one for invoice %', bill.id, invoice.id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF taken + given_back + NEW.amount > bill.amount THEN
    RAISE EXCEPTION 'invoices of bill % would come to more than it', bill.id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER billing_invoiceline_within_bill BEFORE INSERT ON billing_invoiceline
  FOR EACH ROW EXECUTE FUNCTION billing_check_invoiceline();

CREATE FUNCTION billing_check_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT coalesce(sum(amount), 0) FROM billing_invoiceline WHERE invoice_id = NEW.id) <> NEW.amount THEN
    RAISE EXCEPTION 'invoice % is not the sum of its lines', NEW.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_invoice_is_its_lines AFTER INSERT ON billing_invoicerequest
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_invoice();
CREATE FUNCTION billing_check_invoice_of_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT sum(amount) FROM billing_invoiceline WHERE invoice_id = NEW.invoice_id)
     <> (SELECT amount FROM billing_invoicerequest WHERE id = NEW.invoice_id) THEN
    RAISE EXCEPTION 'invoice % is not the sum of its lines', NEW.invoice_id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_invoiceline_adds_up AFTER INSERT ON billing_invoiceline
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_invoice_of_line();
"""

LIFT = """
DROP TRIGGER billing_invoiceline_adds_up ON billing_invoiceline;
DROP FUNCTION billing_check_invoice_of_line();
DROP TRIGGER billing_invoice_is_its_lines ON billing_invoicerequest;
DROP FUNCTION billing_check_invoice();
DROP TRIGGER billing_invoiceline_within_bill ON billing_invoiceline;
DROP FUNCTION billing_check_invoiceline();
DROP TRIGGER billing_invoiceline_no_truncate ON billing_invoiceline;
DROP TRIGGER billing_invoiceline_no_change ON billing_invoiceline;
DROP TRIGGER billing_invoice_no_truncate ON billing_invoicerequest;
DROP TRIGGER billing_invoice_no_delete ON billing_invoicerequest;
DROP TRIGGER billing_invoice_stays_over ON billing_invoicerequest;
DROP TRIGGER billing_invoice_number_stays ON billing_invoicerequest;
DROP TRIGGER billing_invoice_no_change ON billing_invoicerequest;
"""


def add_schedule(apps, schema_editor):
    interval, _ = apps.get_model("django_celery_beat", "IntervalSchedule").objects.get_or_create(
        every=5, period="minutes"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Mail issued invoices", defaults={"task": "billing.tasks.mail_invoices", "interval": interval}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0025_invoices"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.RunSQL(GUARDS, LIFT),
        migrations.RunPython(add_schedule, migrations.RunPython.noop),
    ]
