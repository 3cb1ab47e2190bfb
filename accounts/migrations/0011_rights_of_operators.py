"""Blocking, signing out and giving rights are rights of their own, apart from changing accounts by hand."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0010_profile_schedules")]

    operations = [
        migrations.AlterModelOptions(
            name="user",
            options={
                "permissions": [
                    ("block_user", "Can block and unblock users"),
                    ("sign_out_user", "Can end the sessions of users"),
                    ("change_staff", "Can change operators and their rights"),
                ],
                "verbose_name": "user",
                "verbose_name_plural": "users",
            },
        ),
    ]
