"""A shop's products, and which of them look alike."""

from django.db import connection, models, transaction
from pgvector.django import MaxInnerProduct, VectorField


class Product(models.Model):
    name = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    published = models.BooleanField(default=True)
    photo = models.ImageField(blank=True)

    def __str__(self):
        return self.name

    def similar(self, k=10):
        """Return the k published products that look most like this one, nearest first."""
        image = ProductImage.objects.filter(product=self).first()
        if image is None:  # it has no photo, or no worker has come to it yet
            return []
        nearest = (
            Product.objects.filter(published=True, image__isnull=False)
            .exclude(pk=self.pk)
            .order_by(MaxInnerProduct("image__embedding", image.embedding))
        )
        with transaction.atomic(), connection.cursor() as cursor:
            # Products that the WHERE turns away are made up for, until there are k.
            cursor.execute("SELECT spocdb.iterative_scan()")
            return list(nearest[:k])


class ProductImage(models.Model):
    """A product's photo as spocdb knows it: a row of the view spocdb.products."""

    product = models.OneToOneField(
        Product, models.DO_NOTHING, primary_key=True, db_column="id", related_name="image"
    )
    embedding = VectorField(dimensions=256)

    class Meta:
        managed = False
        # Django knows no schemas, but takes a name in quotes as it is.
        db_table = '"spocdb"."products"'
