from enum import StrEnum


class ProblemCode(StrEnum):
    BALANCE_LIMIT_EXCEEDED = "balance_limit_exceeded"
    COUPON_ALREADY_ISSUED = "coupon_already_issued"
    COUPON_NOT_FOUND = "coupon_not_found"
    COUPON_NOT_OPEN = "coupon_not_open"
    COUPON_NOT_USABLE = "coupon_not_usable"
    COUPON_SOLD_OUT = "coupon_sold_out"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    INTERNAL_ERROR = "internal_error"
    LOCK_TIMEOUT = "lock_timeout"
    MALFORMED_JSON = "malformed_json"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    NOT_AUTHENTICATED = "not_authenticated"
    NOT_FOUND = "not_found"
    ORDER_NOT_CANCELLABLE = "order_not_cancellable"
    ORDER_NOT_FOUND = "order_not_found"
    OUT_OF_STOCK = "out_of_stock"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    PERMISSION_DENIED = "permission_denied"
    PRECONDITION_FAILED = "precondition_failed"
    PRODUCT_NOT_FOUND = "product_not_found"
    REQUEST_IN_PROGRESS = "request_in_progress"
    SERVICE_UNAVAILABLE = "service_unavailable"
    THROTTLED = "throttled"
    TOKEN_NOT_VALID = "token_not_valid"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    USER_NOT_FOUND = "user_not_found"
    VALIDATION_ERROR = "validation_error"
    WEBHOOK_LIMIT_REACHED = "webhook_limit_reached"
    WEBHOOK_NOT_FOUND = "webhook_not_found"

    def __str__(self) -> str:
        return str(self.value)
