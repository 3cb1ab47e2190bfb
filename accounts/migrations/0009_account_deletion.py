"""Deleted users are nobody; a code of its own confirms a deletion; actions of operators are told apart."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_sign_in_purge_schedule"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.AlterField(
            model_name="auditevent",
            name="action",
            field=models.CharField(
                choices=[
                    ("registered", "Registered"),
                    ("login", "Signed in"),
                    ("login_failed", "Sign-in failed"),
                    ("login_locked", "Sign-in locked"),
                    ("session_ended", "Session ended"),
                    ("token_reused", "Stolen token refused"),
                    ("password_changed", "Password changed"),
                    ("phone_bound", "Phone bound"),
                    ("email_changed", "E-mail changed"),
                    ("profile_changed", "Profile changed"),
                    ("wechat_bound", "WeChat bound"),
                    ("wechat_unbound", "WeChat unbound"),
                    ("blocked", "Blocked"),
                    ("unblocked", "Unblocked"),
                    ("deletion_requested", "Deletion requested"),
                    ("deletion_cancelled", "Deletion called off"),
                    ("deleted", "Deleted"),
                    ("role_changed", "Role changed"),
                    ("balance_changed", "Balance changed"),
                    ("admin_added", "Added by an operator"),
                    ("admin_changed", "Changed by an operator"),
                    ("admin_deleted", "Deleted by an operator"),
                    ("admin_ran", "Action of an operator"),
                ],
                max_length=30,
                verbose_name="action",
            ),
        ),
        migrations.AlterField(
            model_name="phonecode",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("register", "Registration"),
                    ("login", "Sign-in"),
                    ("reset_password", "Password reset"),
                    ("bind_phone", "Phone binding"),
                    ("delete_account", "Account deletion"),
                ],
                max_length=20,
                verbose_name="purpose",
            ),
        ),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", True), ("deletion_due_at__isnull", False)),
                fields=["deletion_due_at"],
                name="accounts_user_deletion_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("deleted_at__isnull", True),
                    models.Q(("email__isnull", True), ("is_active", False), ("phone__isnull", True)),
                    _connector="OR",
                ),
                name="accounts_user_deleted_is_nobody",
                violation_error_message="This account was deleted; it cannot be used again.",
            ),
        ),
    ]
