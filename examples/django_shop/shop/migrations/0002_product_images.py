"""Products can be found by how they look."""

from django.conf import settings
from django.db import migrations, models
from pgvector.django import VectorField

from spocdb.integrations.statements import attach_statements, detach_statement


def attach(apps, schema_editor):
    # The collection is not called like the table: in a join PostgreSQL could not tell
    # spocdb.shop_product from shop_product, as Django gives it no other name there.
    for statement in attach_statements(
        "shop_product", key="id", image="photo", collection="products", root=settings.MEDIA_ROOT
    ):
        schema_editor.execute(statement, params=None)


def detach(apps, schema_editor):
    schema_editor.execute(detach_statement("products"), params=None)


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_products")]
    operations = [
        migrations.RunPython(attach, detach),
        migrations.CreateModel(
            name="ProductImage",
            fields=[
                (
                    "product",
                    models.OneToOneField(
                        "shop.Product",
                        models.DO_NOTHING,
                        primary_key=True,
                        db_column="id",
                        related_name="image",
                        serialize=False,
                    ),
                ),
                ("embedding", VectorField(dimensions=256)),
            ],
            options={"managed": False, "db_table": '"spocdb"."products"'},
        ),
    ]
