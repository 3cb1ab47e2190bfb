"""Crediting a wallet is a right of its own: nobody changes wallets by hand."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_more_guards")]

    operations = [
        migrations.AlterModelOptions(
            name="wallet",
            options={
                "permissions": [("credit_wallet", "Can credit wallets")],
                "verbose_name": "wallet",
                "verbose_name_plural": "wallets",
            },
        ),
    ]
