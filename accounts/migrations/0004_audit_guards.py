"""The audit log is append-only (no UPDATE, DELETE, TRUNCATE), held by PostgreSQL itself.

Tests that flush tables lift the truncation guard alone, by the connection option yuntu.allow_truncate.
"""

from django.db import migrations

GUARDS = """
CREATE FUNCTION accounts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' AND current_setting('yuntu.allow_truncate', true) = 'on' THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '% is append-only (% refused)', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER accounts_audit_no_change BEFORE UPDATE OR DELETE ON accounts_auditevent
  FOR EACH ROW EXECUTE FUNCTION accounts_refuse_change();
CREATE TRIGGER accounts_audit_no_truncate BEFORE TRUNCATE ON accounts_auditevent
  FOR EACH STATEMENT EXECUTE FUNCTION accounts_refuse_change();
"""

LIFT = """
DROP TRIGGER accounts_audit_no_truncate ON accounts_auditevent;
DROP TRIGGER accounts_audit_no_change ON accounts_auditevent;
DROP FUNCTION accounts_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_identity")]

    operations = [migrations.RunSQL(GUARDS, LIFT)]
