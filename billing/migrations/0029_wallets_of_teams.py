"""Teams that were made before they had a wallet from the start get theirs."""

from django.db import migrations


def give_wallets(apps, schema_editor):
    wallets = apps.get_model("billing", "Wallet").objects
    without = apps.get_model("accounts", "Team").objects.exclude(wallets__currency="CNY")
    for team in without.order_by("pk"):
        wallets.create(team=team, currency="CNY")


class Migration(migrations.Migration):
    dependencies = [("billing", "0028_voucher_uses_are_redemptions")]

    operations = [migrations.RunPython(give_wallets, migrations.RunPython.noop)]
