"""Routes of orders, below `/api`."""

from rest_framework.routers import SimpleRouter

from orders import views

router = SimpleRouter(trailing_slash=False)
router.register("orders", views.OrderViewSet, basename="order")
router.register("users/orders", views.UserOrderViewSet, basename="user-order")

urlpatterns = router.urls
