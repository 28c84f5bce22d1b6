"""The different values of a column, without reading all of its rows."""

from __future__ import annotations

from django.db import connection, models


def distinct_texts(model: type[models.Model], owner: str, column: str, *, of: int | None, limit: int) -> list[str]:
    """Return up to ``limit`` different texts of a column, sorted: of the rows of one owner, or of
    all rows.

    The model has an index of the columns ``owner`` and ``column``. The statement jumps in it from
    text to text, so that a million rows with three texts cost three look-ups.
    """
    table = connection.ops.quote_name(model._meta.db_table)
    if of is None:
        first, later = "1 = 1", f"(later.{owner}, later.{column}) > (this.{owner}, this.{column})"
    else:
        first, later = f"{owner} = %s", f"later.{owner} = this.{owner} AND later.{column} > this.{column}"
    sql = f"""
        WITH RECURSIVE steps (id) AS (
            SELECT (SELECT id FROM {table} WHERE {first} ORDER BY {owner}, {column} LIMIT 1)
            UNION ALL
            SELECT (
                SELECT later.id FROM {table} AS later WHERE {later} ORDER BY later.{owner}, later.{column} LIMIT 1
            )
            FROM steps JOIN {table} AS this ON this.id = steps.id
        )
        SELECT {column} FROM steps JOIN {table} AS found ON found.id = steps.id LIMIT {limit}
    """  # noqa: S608  names of our own table
    with connection.cursor() as cursor:
        cursor.execute(sql, [] if of is None else [of])
        return sorted({text for (text,) in cursor.fetchall()})
