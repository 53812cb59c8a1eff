"""Public endpoints of the catalogue."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from commerce.api.conditional import page_response
from commerce.api.paging import CatalogPages
from commerce.api.schema import documented, paged
from commerce.api.validation import query_of, require_known_parameters
from commerce.api.viewsets import ApiViewSet
from commerce.server.json_codec import dump, json_response
from products import selectors, serializers
from products.errors import ProductNotFound


class ProductViewSet(ApiViewSet):
    """Products for sale."""

    permission_classes = [AllowAny]
    authentication_classes = ()
    lookup_url_kwarg = "productId"
    lookup_value_regex = r"[0-9]{1,18}"

    @documented(
        "Products",
        "Products for sale. The list may be a minute old, but changes by staff are visible at once.",
        operation_id="products",
        response=paged(serializers.ProductSerializer, counted=True),
        parameters=[serializers.CatalogQuerySerializer, *CatalogPages.parameters],
        public=True,
        cached=True,
    )
    def list(self, request: Request) -> HttpResponse:
        require_known_parameters(request, _PARAMETERS)
        page = selectors.PRODUCT_LIST.page(
            variant=_address(request),
            ttl_seconds=settings.PRODUCT_LIST_CACHE_SECONDS,
            render=lambda: _render_list(request),
        )
        return page_response(request._request, page, selectors.PRODUCT_LIST)

    @documented(
        "Product",
        "One product for sale, never stale.",
        operation_id="product",
        path_id="productId",
        response=serializers.ProductSerializer,
        refusals=[ProductNotFound],
        public=True,
    )
    def retrieve(self, request: Request, productId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        return json_response(dump(selectors.product_for_sale(int(productId))))


_PARAMETERS = sorted([*serializers.CatalogQuerySerializer().fields, *CatalogPages.names])


def _address(request: Request) -> str:
    """The cache key of the page: host and path, which its links contain, and the parameters in a fixed order."""
    given = request.query_params
    query = urlencode([(name, given[name]) for name in _PARAMETERS if name in given])
    return request.build_absolute_uri(f"{request.path}?{query}" if query else request.path)


def _render_list(request: Request) -> bytes:
    query = query_of(request, serializers.CatalogQuerySerializer, paging=CatalogPages.names)
    products = selectors.products_for_sale(
        search=query["search"],
        ordering=query["ordering"],
        min_price=query["minPrice"],
        max_price=query["maxPrice"],
        in_stock=query["inStock"],
    )
    pages = CatalogPages(_address(request))
    page = pages.paginate_queryset(products, request) or []
    return dump(pages.get_paginated_response([selectors.as_shown(row) for row in page]).data)
