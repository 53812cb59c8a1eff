"""The catalogue's endpoints, open to everyone."""

from django.conf import settings
from django.http import HttpResponse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from commerce.http.conditional import page_response
from commerce.http.json import dump
from commerce.http.paging import CatalogPages
from commerce.http.schema import documented, paged
from commerce.http.validation import query_of
from products import selectors, serializers
from products.errors import ProductNotFound


class ProductViewSet(ViewSet):
    """What the shop sells."""

    permission_classes = [AllowAny]
    authentication_classes = ()
    lookup_url_kwarg = "productId"
    lookup_value_regex = r"[0-9]{1,18}"

    @documented(
        "Products",
        operation_id="products",
        response=paged(serializers.ProductSerializer, counted=True),
        parameters=[serializers.CatalogQuerySerializer, *CatalogPages.parameters],
        public=True,
        cached=True,
    )
    def list(self, request: Request) -> HttpResponse:
        body = selectors.PRODUCT_LIST.body(
            # The whole address, because the links to the next pages repeat it.
            variant=request.build_absolute_uri(),
            ttl_seconds=settings.PRODUCT_LIST_CACHE_SECONDS,
            render=lambda: _render_list(request),
        )
        return page_response(request._request, body)

    @documented(
        "Product",
        operation_id="product",
        response=serializers.ProductSerializer,
        refusals=[ProductNotFound],
        public=True,
    )
    def retrieve(self, request: Request, productId: str) -> Response:  # noqa: N803  # the contract's name
        return Response(selectors.product_for_sale(int(productId)))


def _render_list(request: Request) -> bytes:
    query = query_of(request, serializers.CatalogQuerySerializer)
    products = selectors.products_for_sale(
        search=query["search"],
        ordering=query["ordering"],
        min_price=query["minPrice"],
        max_price=query["maxPrice"],
        in_stock=query["inStock"],
    )
    pages = CatalogPages()
    page = pages.paginate_queryset(products, request)
    return dump(pages.get_paginated_response(page).data)
