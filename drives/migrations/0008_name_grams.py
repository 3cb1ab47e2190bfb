"""The function that the indexes of names stand on: pairs of neighbouring characters, in lower case.

No extension is needed, and pairs suit Chinese, whose words are mostly of two characters.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION drives_name_grams(name text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT substr(lower(name), place, 2)), '{}')
    FROM generate_series(1, length(name) - 1) AS place
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0007_late_md5_schedule"),
    ]

    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION drives_name_grams(text)")]
