"""The tables of the usual implementation."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models


class Customer(AbstractBaseUser):
    """A customer with a balance."""

    username = models.CharField(max_length=150, unique=True)
    is_active = models.BooleanField(default=True)
    balance = models.BigIntegerField(default=0)

    USERNAME_FIELD = "username"

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return self.username


class Product(models.Model):
    """Something for sale."""

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    price = models.BigIntegerField()
    stock = models.IntegerField()

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return self.name


class Coupon(models.Model):
    """A discount for the first customers who ask."""

    name = models.CharField(max_length=200)
    discount_value = models.BigIntegerField()
    total_quantity = models.IntegerField()
    issued_count = models.IntegerField(default=0)

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return self.name


class UserCoupon(models.Model):
    """One unit of a coupon that a customer holds."""

    user = models.ForeignKey(Customer, models.PROTECT)
    coupon = models.ForeignKey(Coupon, models.PROTECT)
    status = models.CharField(max_length=10, default="AVAILABLE")
    issued_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "naive"
        constraints = [models.UniqueConstraint(fields=["coupon", "user"], name="naive_one_coupon_per_user")]

    def __str__(self) -> str:
        return str(self.pk)


class Order(models.Model):
    """A paid purchase."""

    user = models.ForeignKey(Customer, models.PROTECT)
    user_coupon = models.ForeignKey(UserCoupon, models.PROTECT, null=True)
    total_amount = models.BigIntegerField()
    paid_amount = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return str(self.pk)


class OrderItem(models.Model):
    """One line of an order."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, models.PROTECT)
    unit_price = models.BigIntegerField()
    quantity = models.IntegerField()

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return str(self.pk)


class BalanceTransaction(models.Model):
    """One movement of a balance."""

    user = models.ForeignKey(Customer, models.PROTECT)
    type = models.CharField(max_length=10)
    amount = models.BigIntegerField()
    balance_after = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return str(self.pk)


class OutboxEvent(models.Model):
    """An event that waits to be sent."""

    type = models.CharField(max_length=50)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return str(self.pk)
