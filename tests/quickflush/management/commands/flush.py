"""What empties the database after a test with real commits: rows, not tables, since hardly any table has some.

Truncating all tables and telling every app that it was migrated again took longer than most of these tests.
"""

from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction

# What migrations fill, and nothing in a test changes.
KEPT = (
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "django_celery_beat_",
    "billing_membershipplan",
)


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        emptied = [name for name in tables if not name.startswith(KEPT)]
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            if cursor.fetchone() == (True,):
                # Neither foreign keys nor the guards of what is never deleted are asked.
                deletes = "".join(f"DELETE FROM {connection.ops.quote_name(name)};" for name in emptied)
                cursor.execute(f"SET LOCAL session_replication_role = replica; {deletes}")
                return
        super().handle(**options)
