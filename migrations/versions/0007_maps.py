"""Maps: where the images of a collection lie in two dimensions.

Revision ID: 0007_maps
Revises: 0006_queries
"""

from spocdb.db.migration import need_name, run_sql, show_to_readers

revision = "0007_maps"
down_revision = "0006_queries"
branch_labels = None
depends_on = None


def upgrade() -> None:
    need_name("maps")
    need_name("map_positions")
    run_sql("tables/0007_maps")
    show_to_readers("maps")
    show_to_readers("map_positions", "map_id IN (SELECT m.id FROM spocdb.maps m)")


def downgrade() -> None:
    run_sql("tables/0007_maps_down")
