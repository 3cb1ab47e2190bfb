"""A redeemed code may be a gift to a team, of whoever redeems it."""

from django.db import migrations

GUARD = """
CREATE OR REPLACE FUNCTION billing_check_redemption() RETURNS trigger LANGUAGE plpgsql AS $$
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
        WHERE gift.id = NEW.gift_id AND gift.amount = batch.amount AND {whose}
          AND wallet.currency = batch.currency AND entry.kind = 'grant'
          AND entry.key = 'voucher:' || voucher.id || ':' || NEW.use_number) THEN
    RAISE EXCEPTION 'redemption % is not what its gift is', NEW.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
"""
OWN = "wallet.user_id = NEW.user_id"
OWN_OR_TEAM = f"""({OWN} OR EXISTS (
              SELECT FROM accounts_teammember WHERE team_id = wallet.team_id AND user_id = NEW.user_id))"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0029_wallets_of_teams")]

    operations = [migrations.RunSQL(GUARD.format(whose=OWN_OR_TEAM), GUARD.format(whose=OWN))]
