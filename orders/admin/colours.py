"""The colour of each status of an order, on every page that shows one."""

from orders.models import OrderStatus

COLOURS = {
    OrderStatus.COMPLETED.value: "success",
    OrderStatus.CANCELLED.value: "danger",
    OrderStatus.REFUNDED.value: "warning",
}
