"""Routes of coupons, below `/api`."""

from rest_framework.routers import SimpleRouter

from coupons import views

router = SimpleRouter(trailing_slash=False)
router.register("coupons", views.CouponViewSet, basename="coupon")
router.register("users/coupons", views.UserCouponViewSet, basename="user-coupon")

urlpatterns = router.urls
