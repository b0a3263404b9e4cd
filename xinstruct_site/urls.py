"""Every address of the site. People's pages are in annotation, the machine's in generation, accounts here."""

from django.contrib import admin
from django.urls import include, path

from xinstruct_site import health, metrics
from xinstruct_site.api import api

urlpatterns = [
    path("", include("annotation.urls")),
    path("", include("generation.urls")),
    path("account/", include("xinstruct_site.people.urls")),
    path("account/", include("allauth.urls")),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
    path("admin/queues/", include("django_rq.urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
