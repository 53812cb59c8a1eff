"""The public endpoint of the statistics."""

from datetime import date

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from commerce.api.conditional import page_response
from commerce.api.schema import documented
from commerce.api.validation import require_known_parameters
from commerce.api.viewsets import ApiViewSet
from commerce.server.json_codec import dump
from stats import selectors, serializers


class PopularProductViewSet(ApiViewSet):
    """The best-selling products."""

    permission_classes = [AllowAny]
    authentication_classes = ()

    @documented(
        "Popular products",
        "The five products of which most units were sold since three days ago. The list may be half an hour old.",
        operation_id="productsPopular",
        response=serializers.popular_products(),
        public=True,
        cached=True,
    )
    def list(self, request: Request) -> HttpResponse:
        require_known_parameters(request, ())
        today = timezone.localdate()
        page = selectors.POPULAR.page(
            # A new day has its own cache entry, whatever the lifetime of the old one.
            variant=today.isoformat(),
            ttl_seconds=settings.POPULAR_CACHE_SECONDS,
            render=lambda: _render(today),
        )
        return page_response(request._request, page, selectors.POPULAR)


def _render(today: date) -> bytes:
    results = [
        {
            "rank": rank,
            "productId": product.product_id,
            "name": product.name,
            "price": product.price,
            "quantitySold": product.quantity_sold,
        }
        for rank, product in enumerate(selectors.popular_products(today), start=1)
    ]
    return dump({"from": selectors.popular_since(today), "to": today, "results": results})
