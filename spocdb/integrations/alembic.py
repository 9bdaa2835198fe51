"""For an application's own Alembic: filters for its env.py, operations for its revisions.

    from spocdb.integrations.alembic import include_name, include_object

    context.configure(..., include_name=include_name, include_object=include_object)

With filters of your own, both must agree:

    include_object=lambda *args: include_object(*args) and my_include_object(*args)

A revision says `op.attach_images("products", key="id", image="photo", root="/srv/photos")` to
upgrade and `op.detach_images("products")` to downgrade. Importing this module, as env.py does,
registers both operations.
"""

from collections.abc import Mapping
from typing import Any

from alembic.operations import MigrateOperation, Operations
from sqlalchemy import text

from spocdb.integrations.statements import attach_statements, detach_statement

SCHEMA = "spocdb"


def include_name(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
    """Exclude spocdb's schema from Alembic's comparison."""
    schema = name if type_ == "schema" else parent_names.get("schema_name")
    return schema != SCHEMA


def include_object(
    object: Any, name: str | None, type_: str, reflected: bool, compare_to: Any
) -> bool:
    """Exclude the tables of spocdb's schema, and what belongs to them."""
    table = object if type_ == "table" else getattr(object, "table", None)
    return getattr(table, "schema", None) != SCHEMA


@Operations.register_operation("attach_images")
class AttachImages(MigrateOperation):
    """Attach a table; its arguments are those of `attach_statements`."""

    def __init__(self, table: str, options: dict[str, Any]) -> None:
        self.table = table
        self.options = options

    @classmethod
    def attach_images(
        cls, operations: Operations, table: str, *, key: str, image: str, **options: Any
    ) -> None:
        """Make a collection of a table's rows; the options are those of `spocdb attach`.

        The extractor is `mini` unless one is named.
        """
        operations.invoke(cls(table, {"key": key, "image": image, **options}))

    def reverse(self) -> "DetachImages":
        """Return the operation that undoes this one."""
        name = self.table.rpartition(".")[2].strip('"')
        return DetachImages(self.options.get("collection") or name)


@Operations.register_operation("detach_images")
class DetachImages(MigrateOperation):
    """Undo AttachImages."""

    def __init__(self, collection: str) -> None:
        self.collection = collection

    @classmethod
    def detach_images(cls, operations: Operations, collection: str) -> None:
        """Undo attach_images: drop the collection, keep the table."""
        operations.invoke(cls(collection))


@Operations.implementation_for(AttachImages)
def _attach(operations: Operations, operation: AttachImages) -> None:
    for statement in attach_statements(operation.table, **operation.options):
        _run(operations, statement)


@Operations.implementation_for(DetachImages)
def _detach(operations: Operations, operation: DetachImages) -> None:
    _run(operations, detach_statement(operation.collection))


def _run(operations: Operations, statement: str) -> None:
    # text() reads `:name` as a parameter; a plain string would fail on `%`.
    operations.execute(text(statement.replace(":", r"\:")))
