"""Where owners have as little running, the one comes first that has used the farm least lately.

The trigger on attempts, which counts what runs, also adds up the seconds of what ends.
"""

import django.utils.timezone
from django.db import migrations, models

REMEMBER = """
CREATE FUNCTION rendering_used_lately(share rendering_concurrencylimit) RETURNS double precision
LANGUAGE sql STABLE AS $$
  -- Of what was used ten minutes ago half counts. The bound keeps power() from running out of numbers.
  SELECT share.used_seconds
         * power(0.5, least(date_part('epoch', statement_timestamp() - share.used_at) / 600, 60))
$$;

CREATE OR REPLACE FUNCTION rendering_count_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counted uuid[] := CASE WHEN TG_OP = 'INSERT' THEN NEW.limits ELSE OLD.limits END;
  change int := CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE -1 END;
  took float8 := CASE WHEN TG_OP = 'INSERT' THEN 0
                      ELSE date_part('epoch', statement_timestamp() - OLD.created_at) END;
  is_over boolean;
BEGIN
  IF cardinality(counted) > 1 THEN
    -- In the order of their ids, so that two attempts never wait for each other.
    PERFORM 1 FROM rendering_concurrencylimit WHERE id = ANY(counted) ORDER BY id FOR NO KEY UPDATE;
  END IF;
  FOR is_over IN
    UPDATE rendering_concurrencylimit counting
       SET running = running + change,
           used_seconds = rendering_used_lately(counting) + greatest(took, 0), used_at = statement_timestamp()
     WHERE id = ANY(counted)
    RETURNING running > maximum
  LOOP
    IF TG_OP = 'INSERT' AND is_over THEN
      RAISE EXCEPTION 'as many attempts run as may'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'rendering_limit_kept';
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
"""
FORGET = """
CREATE OR REPLACE FUNCTION rendering_count_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counted uuid[] := CASE WHEN TG_OP = 'INSERT' THEN NEW.limits ELSE OLD.limits END;
  change int := CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE -1 END;
  is_over boolean;
BEGIN
  IF cardinality(counted) > 1 THEN
    PERFORM 1 FROM rendering_concurrencylimit WHERE id = ANY(counted) ORDER BY id FOR NO KEY UPDATE;
  END IF;
  FOR is_over IN
    UPDATE rendering_concurrencylimit SET running = running + change WHERE id = ANY(counted)
    RETURNING running > maximum
  LOOP
    IF TG_OP = 'INSERT' AND is_over THEN
      RAISE EXCEPTION 'as many attempts run as may'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'rendering_limit_kept';
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
DROP FUNCTION rendering_used_lately(rendering_concurrencylimit);
"""


class Migration(migrations.Migration):
    dependencies = [("rendering", "0010_limits_counted_in_one_statement")]

    operations = [
        migrations.AddField(
            "concurrencylimit",
            "used_seconds",
            models.FloatField("seconds of slots used lately", default=0, editable=False),
        ),
        migrations.AddField(
            "concurrencylimit",
            "used_at",
            models.DateTimeField("as of", default=django.utils.timezone.now, editable=False),
        ),
        migrations.RunSQL(REMEMBER, FORGET),
    ]
