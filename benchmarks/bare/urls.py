"""The bare view of each line."""

from django.urls import path

from benchmarks.bare.views import balance, fixed

urlpatterns = [path("fixed/<str:name>", fixed), path("balance/<int:account_id>", balance)]
