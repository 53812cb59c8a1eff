"""The outbox: messages to deliver, the log of delivery attempts, and webhook subscriptions."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from commerce.core.tracing import LONGEST_TRACEPARENT
from commerce.outbox.routes import WITHOUT_ORDER

MOST_NAME_CHARACTERS = 100
MOST_URL_CHARACTERS = 500


class EndReason(models.TextChoices):
    """Why a subscription is switched off or removed."""

    STAFF = "staff", _("switched off by staff")
    FAILING = "failing", _("failed for too long")
    GONE = "gone", _("the receiver answered 410 Gone")
    REMOVED = "removed", _("removed")


class WebhookSubscription(models.Model):
    """A webhook subscription: a destination made by staff, with its URL and event types.

    `commerce.webhooks` writes its terms, the dispatcher the results of its calls. Rows are never deleted, because
    messages refer to them; a removed subscription (`ended_for`) has no secret and is not listed.
    """

    name = models.CharField(_("name"), max_length=MOST_NAME_CHARACTERS)
    url = models.CharField(_("URL"), max_length=MOST_URL_CHARACTERS)
    event_types = ArrayField(models.CharField(max_length=50), verbose_name=_("event types"))
    is_active = models.BooleanField(_("active"), default=True)
    # Never shown again: a secret is in the one response that creates it.
    secret = models.CharField(max_length=100)
    previous_secret = models.CharField(max_length=100, db_default="", blank=True)
    previous_secret_until = models.DateTimeField(_("previous secret good until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    ended_for = models.CharField(_("off because"), max_length=10, choices=EndReason, db_default="", blank=True)
    ended_at = models.DateTimeField(_("off since"), null=True, blank=True)
    failures = models.PositiveIntegerField(_("failed calls in a row"), db_default=0)
    failing_since = models.DateTimeField(_("fails since"), null=True, blank=True)
    next_call_at = models.DateTimeField(_("next call at"), db_default=Now())

    class Meta:
        db_table = "webhook_subscription"
        verbose_name = _("webhook subscription")
        verbose_name_plural = _("webhook subscriptions")
        default_permissions = ("view", "add", "change")
        constraints = [
            models.CheckConstraint(
                condition=Q(is_active=True, ended_for="", ended_at__isnull=True)
                | Q(is_active=False, ended_at__isnull=False) & ~Q(ended_for=""),
                name="webhook_subscription_off_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(previous_secret="", previous_secret_until__isnull=True)
                | ~Q(previous_secret="") & Q(previous_secret_until__isnull=False),
                name="webhook_subscription_overlap_ends",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="webhook_subscription_active", condition=Q(is_active=True)),
        ]

    def __str__(self) -> str:
        return self.name


class OutboxMessage(models.Model):
    """One event for one destination, written in the transaction of its fact.

    It is pending until the destination acknowledges it (`sent_at`) or it is parked for staff (`parked_at`). For one
    user `id` ascends in commit order, because a user's writes are serialized; this is the order of delivery.
    """

    event_id = models.CharField(_("event"), max_length=80, help_text=_("Stable across re-sends."))
    type = models.CharField(_("type"), max_length=50)
    aggregate_type = models.CharField(_("aggregate"), max_length=30)
    aggregate_id = models.CharField(_("key"), max_length=30, help_text=_("Messages with one key keep their order."))
    destination = models.CharField(_("destination"), max_length=30)
    payload = models.TextField(_("payload"), help_text=_("The CloudEvent as it is sent."))
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    attempts = models.PositiveIntegerField(_("attempts"), db_default=0)
    next_attempt_at = models.DateTimeField(_("next attempt at"), db_default=Now())
    last_error = models.TextField(_("last error"), db_default="")
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    parked_at = models.DateTimeField(_("parked at"), null=True, blank=True)
    # Without a database constraint: adding one would scan the whole table, and subscriptions are never deleted.
    subscription = models.ForeignKey(
        WebhookSubscription,
        models.PROTECT,
        verbose_name=_("webhook subscription"),
        null=True,
        blank=True,
        db_index=False,
        db_constraint=False,
        related_name="messages",
    )
    resent_at = models.DateTimeField(_("sent again at"), null=True, blank=True)
    # Not shown anywhere. Empty in older rows and while tracing is off.
    traceparent = models.CharField(max_length=LONGEST_TRACEPARENT, null=True, blank=True)  # noqa: DJ001

    class Meta:
        db_table = "outbox_message"
        verbose_name = _("outbox message")
        verbose_name_plural = _("outbox messages")
        permissions = [("resend_outboxmessage", gettext_noop("Can send outbox messages again"))]
        indexes = [
            models.Index(
                fields=["destination", "id"],
                name="outbox_message_waiting",
                condition=Q(sent_at__isnull=True, parked_at__isnull=True),
            ),
            # Partial: only failed messages, which hold back later messages with their key.
            models.Index(
                fields=["destination", "aggregate_id", "id"],
                name="outbox_message_in_trouble",
                condition=Q(sent_at__isnull=True, parked_at__isnull=True, attempts__gt=0),
            ),
            models.Index(fields=["parked_at"], name="outbox_message_parked", condition=Q(parked_at__isnull=False)),
            # For prefix searches, which an index with a language's collation does not support.
            models.Index(fields=["event_id"], name="outbox_message_event_id", opclasses=["text_pattern_ops"]),
            # Pending messages of a subscription, by due time.
            models.Index(
                fields=["subscription", "next_attempt_at"],
                name="outbox_message_subscribed",
                condition=Q(subscription__isnull=False, sent_at__isnull=True, parked_at__isnull=True),
            ),
            # For the purge, in its order.
            models.Index(fields=["sent_at"], name="outbox_message_sent", condition=Q(sent_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.destination}"

    @property
    def may_go_again(self) -> bool:
        """Whether `commerce.outbox.resend` accepts it."""
        if self.sent_at is not None:
            return self.destination in WITHOUT_ORDER
        return self.parked_at is not None


class DeliveryOutcome(models.TextChoices):
    """The result of an attempt."""

    ACKNOWLEDGED = "acknowledged", _("acknowledged")
    REFUSED = "refused", _("refused")
    NO_ANSWER = "no-answer", _("no answer")


class DeliveryAttempt(models.Model):
    """One call to a destination with a message, written together with the message's new state.

    Deleted with its message.
    """

    message = models.ForeignKey(
        OutboxMessage, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("outbox message")
    )
    destination = models.CharField(_("destination"), max_length=30)
    subscription = models.ForeignKey(
        WebhookSubscription,
        models.PROTECT,
        verbose_name=_("webhook subscription"),
        null=True,
        blank=True,
        db_index=False,
        db_constraint=False,
        related_name="deliveries",
    )
    attempted_at = models.DateTimeField(_("attempted at"))
    duration_ms = models.PositiveIntegerField(_("duration (ms)"))
    http_status = models.PositiveSmallIntegerField(
        _("HTTP status"), null=True, blank=True, help_text=_("Empty where no whole answer came.")
    )
    outcome = models.CharField(_("outcome"), max_length=20, choices=DeliveryOutcome)
    error = models.TextField(_("error"), db_default="", blank=True)

    class Meta:
        db_table = "delivery_attempt"
        verbose_name = _("delivery attempt")
        verbose_name_plural = _("delivery attempts")
        indexes = [
            # Partial: failed attempts, which are few.
            models.Index(
                fields=["outcome", "id"],
                name="delivery_attempt_failed",
                condition=~Q(outcome=DeliveryOutcome.ACKNOWLEDGED),
            ),
            models.Index(
                fields=["subscription", "-id"],
                name="delivery_attempt_subscription",
                condition=Q(subscription__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message_id}: {self.get_outcome_display()}"
