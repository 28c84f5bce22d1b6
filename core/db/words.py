"""A column of words, and the index that finds rows by them, on both databases.

The words are made by ``core.words``, so neither database has to know any language. PostgreSQL keeps
them as ``tsvector`` with a GIN index, SQLite as text with an FTS5 table that triggers keep in step.
The index knows only which rows have a word: no places, no ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import migrations, models
from django.db.models import Lookup

# All of the groups, and of each group at least one word.
Query = Sequence[Iterable[str]]


class WordsField(models.Field):  # type: ignore[type-arg]
    """Words without order. They hold letters, digits, ":" and "_" (``core.words``).

    Only SQL reads them, through the lookup ``matches``, whose value is a ``Query``. A migration
    adds the index with ``AddWordIndex``.
    """

    def db_type(self, connection: Any) -> str:
        return "tsvector" if connection.vendor == "postgresql" else "text"

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "array_to_tsvector(%s::text[])" if connection.vendor == "postgresql" else "%s"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        words = sorted(value)
        return words if connection.vendor == "postgresql" else " ".join(words)


@WordsField.register_lookup
class Matches(Lookup):
    """Rows that have the words of a query: ``words__matches=[["cat", "cats"], ["blue"]]``."""

    lookup_name = "matches"
    prepare_rhs = False

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:
        column: Any = self.lhs
        quote = connection.ops.quote_name
        key = f"{quote(column.alias)}.{quote(column.target.model._meta.pk.column)}"
        index = quote(index_name(column.target.model, column.target.name))
        sql = f"{key} IN (SELECT rowid FROM {index} WHERE {index} MATCH %s)"  # noqa: S608  names of our own tables
        return sql, [fts5_query(self.rhs)]

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:
        sql, params = self.process_lhs(compiler, connection)
        return f"{sql} @@ %s::tsquery", [*params, tsquery(self.rhs)]


def fts5_query(query: Query) -> str:
    """Return a query as FTS5 reads it."""
    return " AND ".join("(" + " OR ".join(f'"{word}"' for word in group) + ")" for group in query)


def tsquery(query: Query) -> str:
    """Return a query as the text of a ``tsquery``."""
    return " & ".join("(" + " | ".join(f"'{word}'" for word in group) + ")" for group in query)


def index_name(model: type[models.Model], field: str = "words") -> str:
    """Return the name of the index, which on SQLite is a table."""
    return f"{model._meta.db_table}_{field}_index"


class AddWordIndex(migrations.RunPython):
    """Migration operation that adds the index of a WordsField to a table with an integer key.

    A later migration that makes Django build the table anew on SQLite loses the triggers there:
    such a migration has to repeat this operation.
    """

    def __init__(self, model: str, field: str = "words") -> None:
        self._model, self._field = model, field
        super().__init__(self._add, self._remove)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self._model, self._field], {}

    def describe(self) -> str:
        return f"Add the index of the words of {self._model}"

    def _add(self, apps: Any, schema_editor: Any) -> None:
        model, column, index, key = self._names(apps)
        if schema_editor.connection.vendor == "postgresql":
            # Without a pending list, which every search would have to read.
            schema_editor.execute(f'CREATE INDEX "{index}" ON "{model}" USING gin ("{column}") WITH (fastupdate = off)')
            return
        self._remove(apps, schema_editor)
        into = f'INSERT INTO "{index}"'
        remove = f'{into} ("{index}", rowid, "{column}") VALUES (\'delete\', old."{key}", old."{column}");'
        add = f'{into} (rowid, "{column}") VALUES (new."{key}", new."{column}");'
        options = f"content='{model}', content_rowid='{key}', detail=none, columnsize=0"
        tokenizer = "tokenize=\"ascii tokenchars ':_'\""  # all letters beyond ASCII belong to words
        for statement in (
            f'CREATE VIRTUAL TABLE "{index}" USING fts5("{column}", {options}, {tokenizer})',
            f'CREATE TRIGGER "{index}_insert" AFTER INSERT ON "{model}" BEGIN {add} END',
            f'CREATE TRIGGER "{index}_delete" AFTER DELETE ON "{model}" BEGIN {remove} END',
            f'CREATE TRIGGER "{index}_update" AFTER UPDATE OF "{column}" ON "{model}" BEGIN {remove} {add} END',
            f"{into} (\"{index}\") VALUES ('rebuild')",
        ):
            schema_editor.execute(statement)

    def _remove(self, apps: Any, schema_editor: Any) -> None:
        index = self._names(apps)[2]
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f'DROP INDEX IF EXISTS "{index}"')
            return
        for event in ("insert", "delete", "update"):
            schema_editor.execute(f'DROP TRIGGER IF EXISTS "{index}_{event}"')
        schema_editor.execute(f'DROP TABLE IF EXISTS "{index}"')

    def _names(self, apps: Any) -> tuple[str, str, str, str]:
        """Return the names of the table, the column, the index and the key."""
        model = apps.get_model(*self._model.split("."))
        try:
            column = model._meta.get_field(self._field).column
        except FieldDoesNotExist as error:
            raise ValueError(f"{self._model} has no field {self._field}") from error
        return model._meta.db_table, column, index_name(model, self._field), model._meta.pk.column
