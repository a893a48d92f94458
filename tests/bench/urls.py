from django.contrib import admin
from django.urls import path

from console.urls import *  # noqa: F403
from console.urls import urlpatterns as console_urlpatterns
from tests.bench.stock import stock_site
from tests.bench.views import bare

urlpatterns = [*console_urlpatterns, path("bench/bare/", bare), path("bench/stock/", stock_site.urls)]

__all__ = ["admin", "urlpatterns"]
