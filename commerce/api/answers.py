"""Idempotent writes: one response per `Idempotency-Key`.

Contains the header, the fingerprint of a request and the replay. The part inside the transaction is in
`commerce.idempotency`.
"""

import hashlib
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from commerce.api.authentication import caller_of
from commerce.core.errors import DomainError
from commerce.core.locks import KeyTimeout
from commerce.idempotency.claims import AlreadyAnswered, Answer, Claim
from commerce.idempotency.commit import Idempotency
from commerce.idempotency.errors import RequestInProgress
from commerce.server.json_codec import JSON, dump, json_response
from commerce.server.problems import problem_response, set_content_language

T = TypeVar("T")

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_canonical = json.JSONEncoder(sort_keys=True).encode
ORIGINAL = "Original-Request-ID"
VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,255}")


def answer_once(
    request: Request, use_case: Callable[[Idempotency], T], render: Callable[[T], Any], *, body: Any = None
) -> HttpResponse:
    """Run `use_case` and render its result. A repeated request gets the first response again.

    `body` is the parsed body of the request; it is omitted if the operation has none, so that none is read. Refusals
    (4xx) are stored as responses too. Failures (5xx) are not, so a retry runs the use case again. Without a key the
    errors of the use case are raised. Raises IdempotencyKeyReused and RequestInProgress.
    """
    claim = claim_of(request, body)

    def answer_of(result: T) -> Answer:
        return Answer(200, JSON, dump(render(result)))

    if claim is None:
        return _respond(answer_of(use_case(Idempotency.none())))
    refused: list[HttpResponse] = []

    def answer_of_refusal(refusal: DomainError) -> Answer:
        problem = problem_response(request._request, refusal)
        refused[:] = [problem]
        headers = problem.headers
        return Answer(problem.status_code, headers["Content-Type"], problem.content, headers["Content-Language"])

    idempotency = Idempotency(claim, answer_of, answer_of_refusal)
    try:
        use_case(idempotency)
    except AlreadyAnswered as repeat:
        return _replay(repeat.answer)
    except KeyTimeout as timeout:
        if timeout.key != claim.lock:
            raise
        raise RequestInProgress from timeout
    except DomainError:
        if idempotency.answer is None or not refused:
            raise
        return refused[0]
    if idempotency.answer is None:
        raise RuntimeError("The use case did not remember its answer.")
    return _respond(idempotency.answer)


def claim_of(request: Request, body: Any) -> Claim | None:
    """The claim for the request's `Idempotency-Key`; None without a key. Raises ValidationError for an invalid key."""
    meta = request._request.META
    key = meta.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not VISIBLE_ASCII.fullmatch(key):
        raise ValidationError({HEADER: _("1 to 255 visible ASCII characters.")}, code="invalid")
    text = f"{meta['REQUEST_METHOD']}\n{request._request.path}\n{_canonical(body)}"
    fingerprint = hashlib.sha256(text.encode()).digest()
    return Claim(caller_of(request).id, key, fingerprint)


def _respond(answer: Answer) -> HttpResponse:
    return json_response(answer.body, status=answer.status, content_type=answer.content_type)


def _replay(answer: Answer) -> HttpResponse:
    """The stored response, byte for byte. `requestId` of a problem is that of the first request."""
    response = _respond(answer)
    response.headers[REPLAYED] = "true"
    if answer.status >= HTTPStatus.BAD_REQUEST:
        response.headers[ORIGINAL] = json.loads(answer.body)["requestId"]
        set_content_language(response, answer.language)
    return response
