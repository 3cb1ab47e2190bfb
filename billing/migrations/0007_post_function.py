"""Money moves by one function of PostgreSQL, and the guards know of gifts, parked wallets and charges without a hold.

`billing_post` takes the wallet's row lock, finds what was written under the key before, checks what is available,
burns gifts, moves the wallet and writes the entry: one statement for the caller.
"""

from django.db import migrations

GUARDS = """
CREATE OR REPLACE FUNCTION billing_check_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last billing_ledgerentry;
BEGIN
  SELECT * INTO last FROM billing_ledgerentry WHERE wallet_id = NEW.wallet_id ORDER BY sequence DESC LIMIT 1;
  IF NEW.sequence <> coalesce(last.sequence, 0) + 1
     OR NEW.balance_after <> coalesce(last.balance_after, 0) + NEW.amount
     OR NEW.held_after <> coalesce(last.held_after, 0) + NEW.held_delta
     OR NEW.gift_after <> coalesce(last.gift_after, 0) + NEW.gift_delta THEN
    RAISE EXCEPTION 'ledger entry % does not follow from the one before it', NEW.id
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION billing_check_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wallet billing_wallet;
  last billing_ledgerentry;
  open_holds numeric;
  gifts_left numeric;
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
     OR wallet.held <> coalesce(last.held_after, 0) OR wallet.gift <> coalesce(last.gift_after, 0) THEN
    RAISE EXCEPTION 'wallet % differs from its ledger', wallet.id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  SELECT coalesce(sum(amount - captured - released), 0) INTO open_holds
    FROM billing_hold WHERE wallet_id = wallet.id AND status = 'open';
  IF wallet.held <> open_holds THEN
    RAISE EXCEPTION 'wallet % holds % but its open holds are %', wallet.id, wallet.held, open_holds
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  SELECT coalesce(sum(remaining), 0) INTO gifts_left
    FROM billing_gift WHERE wallet_id = wallet.id AND remaining > 0;
  IF wallet.gift <> gifts_left THEN
    RAISE EXCEPTION 'wallet % has gifts of % but % is left of them', wallet.id, wallet.gift, gifts_left
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_gift_equals_wallet AFTER INSERT OR UPDATE ON billing_gift
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_wallet();
CREATE TRIGGER billing_gift_no_delete BEFORE DELETE ON billing_gift
  FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_gift_no_truncate BEFORE TRUNCATE ON billing_gift
  FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_gift_only_burns BEFORE UPDATE ON billing_gift
  FOR EACH ROW WHEN (NEW.remaining > OLD.remaining OR NEW.amount <> OLD.amount OR NEW.wallet_id <> OLD.wallet_id
                     OR NEW.entry_id <> OLD.entry_id)
  EXECUTE FUNCTION billing_refuse_change();

CREATE OR REPLACE FUNCTION billing_check_bill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.hold_id IS NOT NULL THEN
    IF EXISTS (SELECT FROM billing_hold WHERE id = NEW.hold_id AND status = 'closed' AND purpose = 'job'
               AND wallet_id = NEW.wallet_id AND captured = NEW.amount) THEN
      RETURN NULL;
    END IF;
  ELSIF EXISTS (SELECT FROM billing_ledgerentry WHERE id = NEW.entry_id AND wallet_id = NEW.wallet_id
                AND kind = 'consume' AND held_delta = 0 AND amount = -NEW.amount) THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'bill % is not what its hold captured or its entry took', NEW.id
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""

POST = """
CREATE FUNCTION billing_post(
  p_wallet uuid, p_entry uuid, p_kind text, p_amount numeric, p_held numeric, p_gift numeric, p_key text,
  p_description text, p_task uuid, p_actor uuid
) RETURNS SETOF billing_ledgerentry LANGUAGE plpgsql AS $$
DECLARE
  wallet billing_wallet;
  entry billing_ledgerentry;
  lot billing_gift;
  given numeric := p_gift;
  burning numeric;
  burnt numeric;
BEGIN
  SELECT * INTO wallet FROM billing_wallet WHERE id = p_wallet FOR NO KEY UPDATE;
  SELECT * INTO entry FROM billing_ledgerentry WHERE wallet_id = p_wallet AND key = p_key;
  IF FOUND THEN
    RETURN NEXT entry;
    RETURN;
  END IF;
  IF p_kind = 'consume' THEN
    given := -least(wallet.gift, -p_amount);
  END IF;
  -- A parked wallet takes money in and ends what was begun; nothing new is spent from it.
  IF wallet.parked_at IS NOT NULL AND (p_held > 0 OR p_amount < 0 AND p_held = 0 AND p_kind <> 'chargeback') THEN
    RETURN;
  END IF;
  IF wallet.held + p_held < 0 OR wallet.balance + p_amount < wallet.held + p_held
     OR wallet.gift + given < 0 OR wallet.balance + p_amount < wallet.gift + given THEN
    RETURN;
  END IF;
  burning := -given;
  IF p_kind = 'consume' AND burning > 0 THEN
    FOR lot IN SELECT * FROM billing_gift WHERE wallet_id = p_wallet AND remaining > 0 ORDER BY expires_at, id LOOP
      burnt := least(lot.remaining, burning);
      UPDATE billing_gift SET remaining = remaining - burnt, updated_at = now() WHERE id = lot.id;
      burning := burning - burnt;
      EXIT WHEN burning = 0;
    END LOOP;
  END IF;
  UPDATE billing_wallet
     SET balance = balance + p_amount, held = held + p_held, gift = gift + given, sequence = sequence + 1,
         updated_at = now()
   WHERE id = p_wallet RETURNING * INTO wallet;
  RETURN QUERY
  INSERT INTO billing_ledgerentry (id, created_at, updated_at, wallet_id, sequence, kind, amount, held_delta,
                                   gift_delta, balance_after, held_after, gift_after, key, description, task_id,
                                   actor_id)
  VALUES (p_entry, clock_timestamp(), clock_timestamp(), p_wallet, wallet.sequence, p_kind, p_amount, p_held, given,
          wallet.balance, wallet.held, wallet.gift, p_key, p_description, p_task, p_actor)
  RETURNING *;
END $$;
"""

LIFT = """
DROP FUNCTION billing_post;
DROP TRIGGER billing_gift_only_burns ON billing_gift;
DROP TRIGGER billing_gift_no_truncate ON billing_gift;
DROP TRIGGER billing_gift_no_delete ON billing_gift;
DROP TRIGGER billing_gift_equals_wallet ON billing_gift;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_teams_gifts_and_other_charges")]

    operations = [migrations.RunSQL(GUARDS + POST, LIFT)]
