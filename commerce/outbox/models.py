"""The outbox: messages to be delivered, the log of each call that delivered one, and who has subscribed to events."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from commerce.core.tracing import LONGEST_TRACEPARENT
from commerce.outbox.routes import WITHOUT_ORDER

MOST_NAME_LETTERS = 100
MOST_URL_LETTERS = 500


class EndReason(models.TextChoices):
    """Why a subscription gets nothing."""

    STAFF = "staff", _("switched off by staff")
    FAILING = "failing", _("failed for too long")
    GONE = "gone", _("the receiver answered 410 Gone")
    REMOVED = "removed", _("removed")


class WebhookSubscription(models.Model):
    """Who gets which events at which address: a destination that staff have made.

    Staff write what it is (`commerce.webhooks`), the dispatcher how its calls go. It is never deleted, because its
    messages name it; one that was removed (`ended_for`) has no secret any more and is not listed.
    """

    name = models.CharField(_("name"), max_length=MOST_NAME_LETTERS)
    url = models.CharField(_("URL"), max_length=MOST_URL_LETTERS)
    event_types = ArrayField(models.CharField(max_length=50), verbose_name=_("event types"))
    is_active = models.BooleanField(_("active"), default=True)
    # On no page and in no answer: the first one is shown when it is made.
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

    It waits until the destination acknowledged it (`sent_at`) or until staff must look at it (`parked_at`). `id` grows
    in commit order for one user, because a user's facts wait for each other; that is the order of delivery.
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
    # Without a constraint, which would read the whole table when it is added; subscriptions are never deleted.
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
    # On no page. Rows of before have none, nor has what is written while traces are off.
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
            # Small, because only messages in trouble are in it: what holds back the later ones of their key.
            models.Index(
                fields=["destination", "aggregate_id", "id"],
                name="outbox_message_in_trouble",
                condition=Q(sent_at__isnull=True, parked_at__isnull=True, attempts__gt=0),
            ),
            models.Index(fields=["parked_at"], name="outbox_message_parked", condition=Q(parked_at__isnull=False)),
            # Staff search by the beginning of an id, which an index of a language's collation does not serve.
            models.Index(fields=["event_id"], name="outbox_message_event_id", opclasses=["text_pattern_ops"]),
            # What waits for one subscription, by when it is due.
            models.Index(
                fields=["subscription", "next_attempt_at"],
                name="outbox_message_subscribed",
                condition=Q(subscription__isnull=False, sent_at__isnull=True, parked_at__isnull=True),
            ),
            # What a purge takes, and in which order.
            models.Index(fields=["sent_at"], name="outbox_message_sent", condition=Q(sent_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.destination}"

    @property
    def may_go_again(self) -> bool:
        """What `commerce.outbox.resend` would take."""
        if self.sent_at is not None:
            return self.destination in WITHOUT_ORDER
        return self.parked_at is not None


class DeliveryOutcome(models.TextChoices):
    """How a call ended."""

    ACKNOWLEDGED = "acknowledged", _("acknowledged")
    REFUSED = "refused", _("refused")
    NO_ANSWER = "no-answer", _("no answer")


class DeliveryAttempt(models.Model):
    """One call to a destination with a message, written together with what became of the message.

    It goes when its message is purged.
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
            # What staff look for, among very many that went well.
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
