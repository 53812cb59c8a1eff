"""Contains all the data models used in inputs/outputs"""

from .access import Access
from .account import Account
from .balance import Balance
from .balance_history_type import BalanceHistoryType
from .balance_limit_exceeded_problem import BalanceLimitExceededProblem
from .cancel_request import CancelRequest
from .charge import Charge
from .charge_request import ChargeRequest
from .coupon import Coupon
from .coupon_already_issued_problem import CouponAlreadyIssuedProblem
from .coupon_not_found_problem import CouponNotFoundProblem
from .coupon_not_open_problem import CouponNotOpenProblem
from .coupon_not_usable_problem import CouponNotUsableProblem
from .coupon_page import CouponPage
from .coupon_sold_out_problem import CouponSoldOutProblem
from .discount_type import DiscountType
from .excess_item import ExcessItem
from .field_error import FieldError
from .idempotency_key_reused_problem import IdempotencyKeyReusedProblem
from .insufficient_balance_problem import InsufficientBalanceProblem
from .internal_error_problem import InternalErrorProblem
from .ledger_entry import LedgerEntry
from .ledger_entry_page import LedgerEntryPage
from .ledger_entry_type import LedgerEntryType
from .live_reservation import LiveReservation
from .lock_timeout_problem import LockTimeoutProblem
from .made_refund import MadeRefund
from .malformed_json_problem import MalformedJsonProblem
from .method_not_allowed_problem import MethodNotAllowedProblem
from .new_webhook import NewWebhook
from .not_acceptable_problem import NotAcceptableProblem
from .not_authenticated_problem import NotAuthenticatedProblem
from .not_found_problem import NotFoundProblem
from .order import Order
from .order_cancelled_event import OrderCancelledEvent
from .order_completed_event import OrderCompletedEvent
from .order_item import OrderItem
from .order_item_request import OrderItemRequest
from .order_not_cancellable_problem import OrderNotCancellableProblem
from .order_not_found_problem import OrderNotFoundProblem
from .order_not_refundable_problem import OrderNotRefundableProblem
from .order_page import OrderPage
from .order_refunded_event import OrderRefundedEvent
from .order_request import OrderRequest
from .order_status import OrderStatus
from .out_of_stock_problem import OutOfStockProblem
from .patched_webhook_changes import PatchedWebhookChanges
from .payload_too_large_problem import PayloadTooLargeProblem
from .permission_denied_problem import PermissionDeniedProblem
from .popular_product import PopularProduct
from .popular_products import PopularProducts
from .precondition_failed_problem import PreconditionFailedProblem
from .problem import Problem
from .problem_code import ProblemCode
from .product import Product
from .product_not_found_problem import ProductNotFoundProblem
from .product_page import ProductPage
from .products_ordering import ProductsOrdering
from .purchase_limit_exceeded_problem import PurchaseLimitExceededProblem
from .refresh_request import RefreshRequest
from .refund import Refund
from .refund_exceeds_order_problem import RefundExceedsOrderProblem
from .refund_page import RefundPage
from .refund_request import RefundRequest
from .refunded_item import RefundedItem
from .removed_webhook import RemovedWebhook
from .request_in_progress_problem import RequestInProgressProblem
from .reservation import Reservation
from .reservation_expired_problem import ReservationExpiredProblem
from .reservation_not_found_problem import ReservationNotFoundProblem
from .reservation_request import ReservationRequest
from .reservation_status import ReservationStatus
from .reserved_item import ReservedItem
from .rotation import Rotation
from .send_again import SendAgain
from .sent_again import SentAgain
from .service_unavailable_problem import ServiceUnavailableProblem
from .short_item import ShortItem
from .subscribed_event import SubscribedEvent
from .subscribed_event_data import SubscribedEventData
from .subscribed_event_type import SubscribedEventType
from .throttled_problem import ThrottledProblem
from .token import Token
from .token_not_valid_problem import TokenNotValidProblem
from .token_request import TokenRequest
from .unsupported_media_type_problem import UnsupportedMediaTypeProblem
from .unusable import Unusable
from .user_coupon import UserCoupon
from .user_coupon_page import UserCouponPage
from .user_coupon_status import UserCouponStatus
from .user_coupons_status import UserCouponsStatus
from .user_not_found_problem import UserNotFoundProblem
from .user_orders_status import UserOrdersStatus
from .validation_error_problem import ValidationErrorProblem
from .webhook import Webhook
from .webhook_call import WebhookCall
from .webhook_call_outcome import WebhookCallOutcome
from .webhook_call_page import WebhookCallPage
from .webhook_event_type import WebhookEventType
from .webhook_limit_reached_problem import WebhookLimitReachedProblem
from .webhook_not_found_problem import WebhookNotFoundProblem
from .webhook_off_because import WebhookOffBecause
from .webhook_page import WebhookPage
from .webhook_secret import WebhookSecret

__all__ = (
    "Access",
    "Account",
    "Balance",
    "BalanceHistoryType",
    "BalanceLimitExceededProblem",
    "CancelRequest",
    "Charge",
    "ChargeRequest",
    "Coupon",
    "CouponAlreadyIssuedProblem",
    "CouponNotFoundProblem",
    "CouponNotOpenProblem",
    "CouponNotUsableProblem",
    "CouponPage",
    "CouponSoldOutProblem",
    "DiscountType",
    "ExcessItem",
    "FieldError",
    "IdempotencyKeyReusedProblem",
    "InsufficientBalanceProblem",
    "InternalErrorProblem",
    "LedgerEntry",
    "LedgerEntryPage",
    "LedgerEntryType",
    "LiveReservation",
    "LockTimeoutProblem",
    "MadeRefund",
    "MalformedJsonProblem",
    "MethodNotAllowedProblem",
    "NewWebhook",
    "NotAcceptableProblem",
    "NotAuthenticatedProblem",
    "NotFoundProblem",
    "Order",
    "OrderCancelledEvent",
    "OrderCompletedEvent",
    "OrderItem",
    "OrderItemRequest",
    "OrderNotCancellableProblem",
    "OrderNotFoundProblem",
    "OrderNotRefundableProblem",
    "OrderPage",
    "OrderRefundedEvent",
    "OrderRequest",
    "OrderStatus",
    "OutOfStockProblem",
    "PatchedWebhookChanges",
    "PayloadTooLargeProblem",
    "PermissionDeniedProblem",
    "PopularProduct",
    "PopularProducts",
    "PreconditionFailedProblem",
    "Problem",
    "ProblemCode",
    "Product",
    "ProductNotFoundProblem",
    "ProductPage",
    "ProductsOrdering",
    "PurchaseLimitExceededProblem",
    "RefreshRequest",
    "Refund",
    "RefundedItem",
    "RefundExceedsOrderProblem",
    "RefundPage",
    "RefundRequest",
    "RemovedWebhook",
    "RequestInProgressProblem",
    "Reservation",
    "ReservationExpiredProblem",
    "ReservationNotFoundProblem",
    "ReservationRequest",
    "ReservationStatus",
    "ReservedItem",
    "Rotation",
    "SendAgain",
    "SentAgain",
    "ServiceUnavailableProblem",
    "ShortItem",
    "SubscribedEvent",
    "SubscribedEventData",
    "SubscribedEventType",
    "ThrottledProblem",
    "Token",
    "TokenNotValidProblem",
    "TokenRequest",
    "UnsupportedMediaTypeProblem",
    "Unusable",
    "UserCoupon",
    "UserCouponPage",
    "UserCouponsStatus",
    "UserCouponStatus",
    "UserNotFoundProblem",
    "UserOrdersStatus",
    "ValidationErrorProblem",
    "Webhook",
    "WebhookCall",
    "WebhookCallOutcome",
    "WebhookCallPage",
    "WebhookEventType",
    "WebhookLimitReachedProblem",
    "WebhookNotFoundProblem",
    "WebhookOffBecause",
    "WebhookPage",
    "WebhookSecret",
)
