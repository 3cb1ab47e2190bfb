"""What the indexes of names hold: pairs of neighbouring characters as before, each with its drive, so that a search
reads nothing of other drives; and single characters beyond ASCII, since one of Chinese is a word already.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION drives_name_grams(drive uuid, name text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT right(drive::text, 12) || gram), '{}')
    FROM generate_series(1, length(name)) AS place,
        LATERAL (VALUES (substr(lower(name), place, 2)), (substr(lower(name), place, 1))) AS grams (gram)
    WHERE length(gram) = 2 OR ascii(gram) > 127
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("drives", "0014_sums_by_index"),
    ]

    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION drives_name_grams(uuid, text)")]
