"""Routes of the wallet, below `/api`."""

from rest_framework.routers import SimpleRouter

from balances import views

router = SimpleRouter(trailing_slash=False)
router.register("auth/token", views.TokenViewSet, basename="token")
router.register("balance", views.BalanceViewSet, basename="balance")
router.register("users", views.AccountViewSet, basename="account")
router.register("users/balance", views.LedgerViewSet, basename="ledger")

urlpatterns = router.urls
