"""Rights in the API: grant them to roles of the server."""

from spocdb import checks
from spocdb.api.part import Part
from spocdb.db import collections


class Rights(Part):
    """Methods of Database about roles."""

    def grant_reader(self, role: str, collection: str | None = None) -> None:
        """Let a role read and search one collection, and nothing else.

        Args:
            role: a role of the server.
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: the role is no text, or empty.
            DatabaseError: there is no such role, or this one may not grant rights.
        """
        from spocdb.db import rights

        _check_role(role)
        with self._engine.connection() as connection:
            rights.grant_reader(connection, role, collections.get(connection, collection))

    def grant_worker(self, role: str) -> None:
        """Let a role run `tables.work`, and nothing else.

        Raises:
            InvalidValue: the role is no text, or empty.
            DatabaseError: there is no such role, or this one may not grant rights.
        """
        from spocdb.db import rights

        _check_role(role)
        with self._engine.connection() as connection:
            rights.grant_worker(connection, role)

    def grant_owner(self, role: str) -> None:
        """Make a role that is no superuser the owner of spocdb. Only a superuser can call it.

        Raises:
            InvalidValue: the role is no text, or empty.
            DatabaseError: there is no such role, or this one is no superuser.
        """
        from spocdb.db import ownership

        _check_role(role)
        with self._engine.connection() as connection:
            ownership.hand_over(connection, role)


def _check_role(name: str) -> None:
    if not checks.text("role", name):
        raise checks.invalid("role", name, "the name of a role")
