"""What the shop answers."""

from django.http import JsonResponse
from django.shortcuts import get_object_or_404

from shop.models import Product


def similar(request, id):
    """Return the products that look like one, nearest first, as JSON."""
    product = get_object_or_404(Product, pk=id, published=True)
    products = [
        {"id": other.id, "name": other.name, "price": other.price} for other in product.similar(k=5)
    ]
    return JsonResponse({"products": products})
