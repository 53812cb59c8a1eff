"""Routes of the statistics, below `/api`."""

from rest_framework.routers import SimpleRouter

from stats import views

router = SimpleRouter(trailing_slash=False)
router.register("products/popular", views.PopularProductViewSet, basename="popular-product")

urlpatterns = router.urls
