"""The shop's settings: no more than the example needs."""

import os

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "only for trying it out")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# What is not said here (PGHOST, PGUSER, ...) the driver takes from the environment.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("PGDATABASE", "shop"),
    }
}

# The column of an ImageField holds a path below it, which is what spocdb is told.
MEDIA_ROOT = os.environ["SHOP_PHOTOS"]
