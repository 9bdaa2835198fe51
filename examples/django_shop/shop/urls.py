"""The shop's one page."""

from django.urls import path

from shop.views import similar

urlpatterns = [path("products/<int:id>/similar/", similar)]
