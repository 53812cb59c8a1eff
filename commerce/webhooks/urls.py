"""Routes of subscriptions, below `/api`."""

from rest_framework.routers import SimpleRouter

from commerce.webhooks import views

router = SimpleRouter(trailing_slash=False)
router.register("webhooks", views.WebhookViewSet, basename="webhook")

urlpatterns = router.urls
