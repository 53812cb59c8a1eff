"""Queries on accounts and the ledger, and the balance cache.

A cached balance is replaced only by that of a later ledger entry.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from django.conf import settings
from django.db.models import BigIntegerField, Case, CharField, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.db.models.lookups import IStartsWith
from django.utils import timezone

from balances.errors import AccountClosed, UserNotFound
from balances.models import FIRST_NAME_FIRST, LAST_NAME_FIRST, EntryType, LedgerEntry, User
from balances.rules import Entry
from commerce.audit.models import StaffAction
from commerce.core import metrics, redis_services, sql
from commerce.core.group_read import GroupRead

logger = logging.getLogger(__name__)

CACHED_BALANCE_SECONDS = 3600
_add_hit = metrics.CACHE_LOOKUPS.labels("balance", "hit").inc
_add_miss = metrics.CACHE_LOOKUPS.labels("balance", "miss").inc
_OPEN_ACCOUNTS = GroupRead('SELECT id, balance FROM "user" WHERE id = ANY(%s) AND is_active')
LEDGER_ENTRY = "ledger entry"
"""The key in an adjustment's audit record that holds its ledger entry's id."""

# Two writers may reach Redis in a different order than they committed; the later ledger entry wins.
KEEP_NEWER = """
    for position = 1, #KEYS do
        local known = redis.call('get', KEYS[position])
        local entry, balance = ARGV[2 * position], ARGV[2 * position + 1]
        if not known or tonumber(string.match(known, '^%d+')) < tonumber(entry) then
            redis.call('set', KEYS[position], entry .. ':' .. balance, 'ex', ARGV[1])
        end
    end
"""


@dataclass(frozen=True)
class Balance:
    """What an account holds, in won."""

    user_id: int
    balance: int


def balance_of(user_id: int) -> Balance:
    """The account's balance, from the database, or with `BALANCE_READ=cache` from Redis if it is cached.

    Raises UserNotFound for an account that does not exist or is closed; a cached balance may outlive the closing by up
    to `CACHED_BALANCE_SECONDS`.
    """
    if settings.BALANCE_READ == "database":
        row = _OPEN_ACCOUNTS.row(user_id)
        if row is None:
            raise UserNotFound(user_id)
        return Balance(*row)
    cached = _cached_balance(user_id)
    return cached if cached is not None else _balance_into_cache(user_id)


def owner_of_token(user_id: int) -> User:
    """The open account that a token names. Raises AccountClosed."""
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None:
        raise AccountClosed
    return user


def open_account(user_id: int) -> User:
    """An account. Raises UserNotFound for one that does not exist or is closed."""
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None:
        raise UserNotFound(user_id)
    return user


def addresses_of(user_ids: Collection[int]) -> dict[int, str]:
    """The e-mail addresses of these accounts by id; empty if unknown."""
    return dict(User.objects.filter(pk__in=user_ids).values_list("pk", "email"))


def account_ids_called(text: str, *, most: int) -> list[int]:
    """Ids of up to `most` accounts, open or closed, that match `text`, case-insensitively.

    Matches on the e-mail address first, else on the whole user name, else on the beginning of the user name or the
    real name.
    """
    accounts = User.objects.order_by().values_list("id", flat=True)
    if "@" in text and (found := list(accounts.filter(email__iexact=text)[:most])):
        return found
    return accounts_named(text)[:most] or list(accounts.filter(called(text))[:most])


def accounts_named(username: str) -> list[int]:
    """The accounts with exactly this user name, case-insensitively."""
    accounts = User.objects.order_by().filter(username__iexact=User.normalize_username(username))
    return list(accounts.values_list("id", flat=True))


def called(text: str) -> Q:
    """The condition for accounts whose user name or real name begins with `text`, case-insensitively.

    A real name may be given with either part first, with or without a space, or as one of its parts. Each form has its
    own index.
    """
    found = Q(username__istartswith=User.normalize_username(text))
    squeezed = "".join(text.split())
    if squeezed:
        found |= Q(IStartsWith(LAST_NAME_FIRST, squeezed)) | Q(IStartsWith(FIRST_NAME_FIRST, squeezed))
    return found


def open_customer_ids(*, first_id: int, last_id: int) -> Iterator[int]:
    """Ids of the open customer accounts from `first_id` to `last_id`, both inclusive, ascending; no staff."""
    customers = User.objects.filter(id__range=(first_id, last_id), is_active=True, is_staff=False)
    return customers.order_by("id").values_list("id", flat=True).iterator()


def ledger_of(
    user_id: int, *, entry_type: str | None, from_date: date | None, to_date: date | None
) -> "QuerySet[LedgerEntry]":
    """The account's ledger entries of one type and of the shop's days `from_date` to `to_date`, both inclusive."""
    entries = LedgerEntry.objects.filter(user_id=user_id)
    if entry_type:
        entries = entries.filter(type=entry_type)
    if from_date:
        entries = entries.filter(created_at__gte=timezone.make_aware(datetime.combine(from_date, time.min)))
    if to_date:
        # The day's last microsecond rather than the next day's start: date.max has no next day.
        # fold=1: where clocks go back at midnight this time occurs twice, and the second occurrence ends the day.
        last_moment = datetime.combine(to_date, time.max).replace(fold=1)
        entries = entries.filter(created_at__lte=timezone.make_aware(last_moment))
    return entries


def ledger_of_order(order_id: int) -> "QuerySet[LedgerEntry]":
    """The payment of an order and its refund, oldest first."""
    return LedgerEntry.objects.filter(of_order(order_id)).order_by("id")


def of_order(order_id: int) -> Q:
    """The condition for the entries of one order, written so that PostgreSQL uses the two partial indexes."""
    return Q(order_id=order_id, type=EntryType.PAYMENT) | Q(order_id=order_id, type=EntryType.REFUND)


def user_name_of(column: str) -> Subquery:
    """The user name of the account whose id stands in this column of the outer query."""
    return Subquery(User.objects.filter(pk=OuterRef(column)).values("username"))


def with_reasons(entries: "QuerySet[LedgerEntry]") -> "QuerySet[LedgerEntry]":
    """The entries annotated with an adjustment's `reason` and `adjusted_by` (a user name); None for other entries."""
    staff_action = (
        StaffAction.objects.order_by()
        .filter(subject_type=User._meta.label_lower, subject_id=Cast(OuterRef("user_id"), CharField()))
        .annotate(entry_id=Cast(KeyTextTransform(LEDGER_ENTRY, "after"), BigIntegerField()))
        .filter(entry_id=OuterRef("pk"))
    )

    def of_adjustment(name: str) -> Case:
        return Case(When(type=EntryType.ADJUSTMENT, then=Subquery(staff_action.values(name)[:1])))

    return entries.annotate(reason=of_adjustment("reason"), adjusted_by=of_adjustment("actor__username"))


def remember_balances(entries: Iterable[Entry]) -> None:
    """Cache the balances after these ledger entries for `BALANCE_READ=cache`.

    If Redis is unavailable, stale balances stay cached until they expire.
    """
    known = {entry.user_id: (entry.id, entry.balance_after) for entry in entries}
    _remember(known)


def _remember(known: Mapping[int, tuple[int, int]]) -> None:
    """`known`: (ledger entry id, balance after it) by user id."""
    arguments = [number for pair in known.values() for number in pair]
    try:
        redis_services.cache.run_script(KEEP_NEWER, [*map(_cache_key, known)], [CACHED_BALANCE_SECONDS, *arguments])
    except redis_services.RedisUnavailable:
        logger.info("The cached balances of %d users were not renewed: Redis is away", len(known))


def _cached_balance(user_id: int) -> Balance | None:
    try:
        (known,) = redis_services.cache.read(_cache_key(user_id))
    except redis_services.RedisUnavailable:
        return None
    metrics.noted.append((_add_hit if known else _add_miss, 1))
    return Balance(user_id, int(known.split(b":")[1])) if known else None


def _balance_into_cache(user_id: int) -> Balance:
    row = sql.fetch_one(
        "SELECT balance, coalesce((SELECT max(id) FROM user_balance_tx WHERE user_id = u.id), 0)"
        ' FROM "user" AS u WHERE id = %s AND is_active',
        [user_id],
    )
    if row is None:
        raise UserNotFound(user_id)
    balance, ledger_id = row
    _remember({user_id: (ledger_id, balance)})
    return Balance(user_id, balance)


def _cache_key(user_id: int) -> str:
    return f"user:{user_id}:balance"
