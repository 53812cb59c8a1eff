"""The URL configuration: which app handles which path.

The path does not always show the app: `products/popular` is handled by `stats`.
"""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularSwaggerView

from commerce.api import gateway, problem_pages
from commerce.api.schema_page import SchemaPage
from commerce.monitoring.views import metrics
from commerce.server import health
from commerce.server.index import index

admin.autodiscover()

urlpatterns = [
    path("", index),
    path("api", index),
    path(
        "api/",
        include(
            [
                path("", include("balances.urls")),
                path("", include("stats.urls")),
                path("", include("products.urls")),
                path("", include("coupons.urls")),
                path("", include("reservations.urls")),
                path("", include("orders.urls")),
                path("", include("commerce.webhooks.urls")),
                path("schema", SchemaPage.as_view(), name="schema"),
                path(
                    "docs",
                    SpectacularSwaggerView.as_view(url_name="schema", http_method_names=["get", "head"]),
                    name="docs",
                ),
            ]
        ),
    ),
    path("problems", problem_pages.index, name="problems"),
    re_path(r"^problems/(?P<slug>[a-z0-9-]{1,64})\Z", problem_pages.page, name="problem"),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", metrics),
    path("internal/token", gateway.token),
    path("admin/language/", set_language, name="set_language"),
    path("admin/", admin.site.urls),
]

handler400 = "commerce.staff_access.refusal_pages.bad_request"
handler403 = "commerce.staff_access.refusal_pages.permission_denied"
handler404 = "commerce.staff_access.refusal_pages.not_found"
handler500 = "commerce.staff_access.refusal_pages.server_error"
