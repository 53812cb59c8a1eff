"""Routes of the catalogue, below `/api`."""

from rest_framework.routers import SimpleRouter

from products import views

router = SimpleRouter(trailing_slash=False)
router.register("products", views.ProductViewSet, basename="product")

urlpatterns = router.urls
