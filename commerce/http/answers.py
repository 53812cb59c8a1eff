"""Answering a write once per `Idempotency-Key`.

Owns the header, the fingerprint and the replay; what happens inside the transaction is in `commerce.idempotency`.
"""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import IntegrityError
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from commerce.core.errors import DomainError, Unavailable
from commerce.core.locks import KeyTimeout
from commerce.core.sql import violated_constraint
from commerce.http.authentication import caller_of
from commerce.http.json import JSON, dump, json_response
from commerce.http.problems import problem_response
from commerce.idempotency import claims
from commerce.idempotency.claims import Answer, Claim, Once
from commerce.idempotency.errors import RequestInProgress

T = TypeVar("T")

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,255}")


def answer_once(
    request: Request, use_case: Callable[[Once], T], render: Callable[[T], Any], *, body: Any = None
) -> HttpResponse:
    """Run `use_case` and answer with what `render` makes of its result; a repeat gets the first answer again.

    `body` is the request's parsed body; left out where the operation has none, so that none is read. Refusals (4xx)
    are answers too and are kept; failures (5xx) are not, so their retry starts afresh.
    Raises what the use case raises where there is no key, IdempotencyKeyReused, and RequestInProgress.
    """
    claim = claim_of(request, body)

    def answer_of(result: T) -> Answer:
        return Answer(200, JSON, dump(render(result)))

    if claim is None:
        return _respond(answer_of(use_case(Once())))
    once = Once(claim, answer_of)
    try:
        use_case(once)
    except KeyTimeout as timeout:
        if timeout.key != claim.lock:
            raise
        raise RequestInProgress from timeout
    except IntegrityError as error:
        if violated_constraint(error) != claims.ONE_ANSWER_PER_KEY:
            raise
        return _replay(request, claim) or _again(request, claim, use_case, render, body)
    except Unavailable:
        raise
    except DomainError as refusal:
        return _refuse(request, claim, refusal)
    if once.answer is None:
        raise RuntimeError("The use case did not remember its answer.")
    return _respond(once.answer)


def claim_of(request: Request, body: Any) -> Claim | None:
    """The claim behind the request's `Idempotency-Key`, if it carries one. Raises ValidationError for a bad key."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not VISIBLE_ASCII.fullmatch(key):
        raise ValidationError({HEADER: _("1 to 255 visible ASCII characters.")}, code="invalid")
    canonical_body = json.dumps(body, sort_keys=True)
    fingerprint = hashlib.sha256(f"{request.method}\n{request.path}\n{canonical_body}".encode()).digest()
    return Claim(caller_of(request).id, key, fingerprint)


def _replay(request: Request, claim: Claim) -> HttpResponse | None:
    earlier = claims.earlier_answer(claim)
    return _respond(earlier, replayed=True) if earlier else None


def _again(
    request: Request, claim: Claim, use_case: Callable[[Once], T], render: Callable[[T], Any], body: Any
) -> HttpResponse:
    claims.forget_expired(claim)
    return answer_once(request, use_case, render, body=body)


def _refuse(request: Request, claim: Claim, refusal: DomainError) -> HttpResponse:
    problem = problem_response(request._request, refusal)
    ours = Answer(problem.status_code, problem.headers["Content-Type"], problem.content)
    stands = claims.remember_refusal(claim, ours)
    return problem if stands is ours else _respond(stands, replayed=True)


def _respond(answer: Answer, *, replayed: bool = False) -> HttpResponse:
    response = json_response(answer.body, status=answer.status, content_type=answer.content_type)
    if replayed:
        response.headers[REPLAYED] = "true"
    return response
