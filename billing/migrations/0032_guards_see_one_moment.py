"""The guards compare a wallet with its entries, holds and gifts in one statement.

Each statement sees what is committed when it begins: another transaction that moved money could commit between two of
them, and the guard raised for nothing. It could do so because a hold that is closed after all of it was captured moves no
money, so its transaction does not lock the wallet.
"""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("billing.migrations.0007_post_function").GUARDS
CHECK = """
CREATE OR REPLACE FUNCTION billing_check_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  subject uuid;
  wallet record;
BEGIN
  IF TG_TABLE_NAME = 'billing_wallet' THEN
    subject := NEW.id;
  ELSE
    subject := NEW.wallet_id;
  END IF;
  SELECT w.*, coalesce(last.sequence, 0) AS last_sequence, coalesce(last.balance_after, 0) AS last_balance,
         coalesce(last.held_after, 0) AS last_held, coalesce(last.gift_after, 0) AS last_gift,
         (SELECT coalesce(sum(amount - captured - released), 0)
            FROM billing_hold WHERE wallet_id = w.id AND status = 'open') AS open_holds,
         (SELECT coalesce(sum(remaining), 0) FROM billing_gift WHERE wallet_id = w.id AND remaining > 0) AS gifts_left
    INTO wallet
    FROM billing_wallet w LEFT JOIN LATERAL (
           SELECT * FROM billing_ledgerentry WHERE wallet_id = w.id ORDER BY sequence DESC LIMIT 1) last ON true
   WHERE w.id = subject;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF (wallet.sequence, wallet.balance, wallet.held, wallet.gift)
     <> (wallet.last_sequence, wallet.last_balance, wallet.last_held, wallet.last_gift) THEN
    RAISE EXCEPTION 'wallet % differs from its ledger', wallet.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF wallet.held <> wallet.open_holds THEN
    RAISE EXCEPTION 'wallet % holds % but its open holds are %', wallet.id, wallet.held, wallet.open_holds
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF wallet.gift <> wallet.gifts_left THEN
    RAISE EXCEPTION 'wallet % has gifts of % but % is left of them', wallet.id, wallet.gift, wallet.gifts_left
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
"""
START = "CREATE OR REPLACE FUNCTION billing_check_wallet"
UNCHECK = START + BEFORE.split(START)[1].split("END $$;")[0] + "END $$;"


class Migration(migrations.Migration):
    dependencies = [("billing", "0031_invoices_are_checked_by_night")]

    operations = [migrations.RunSQL(CHECK, UNCHECK)]
