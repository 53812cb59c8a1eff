"""Routes of reservations, below `/api`."""

from rest_framework.routers import SimpleRouter

from reservations import views

router = SimpleRouter(trailing_slash=False)
router.register("reservations", views.ReservationViewSet, basename="reservation")

urlpatterns = router.urls
