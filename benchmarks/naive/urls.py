"""The same URLs as those of the shop, so that the same load scripts can be used."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from benchmarks.naive import views


def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"ready")


urlpatterns = [
    path("ready", ready),
    path("api/products", views.ProductList.as_view()),
    path("api/products/<int:pk>", views.ProductDetail.as_view()),
    path("api/balance/charge", views.Charge.as_view()),
    path("api/balance/<int:user_id>", views.Balance.as_view()),
    path("api/coupons/<int:coupon_id>/issue", views.Issue.as_view()),
    path("api/orders", views.PlaceOrder.as_view()),
]
