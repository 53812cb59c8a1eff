"""Distributed tracing: one trace goes from the arrival of a request to the consumer of its event.

Tracing is off unless OTEL_EXPORTER_OTLP_ENDPOINT is set. While it is off, OpenTelemetry is not imported and the only
cost is that callers check `tracing.on`. The other functions must only be called while it is on.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from commerce.core.process import process_name

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from commerce.core.group import Write
    from commerce.core.transaction import Transaction

T = TypeVar("T")

on = False
"""Whether this process records spans."""

TRACEPARENT = "traceparent"
"""The header of W3C Trace Context, in HTTP and in Kafka."""
LONGEST_TRACEPARENT = 55

SERVER, CLIENT, PRODUCER, CONSUMER, INTERNAL = "SERVER", "CLIENT", "PRODUCER", "CONSUMER", "INTERNAL"
"""OpenTelemetry's kinds of spans."""

Attributes = Mapping[str, str | int | float | bool]


def start(*, share: float) -> None:
    """Start recording spans and exporting them in the background. `share`: the sampling rate of new traces, 0 to 1.

    The library reads the destination, headers and batch sizes from the environment (`OTEL_EXPORTER_OTLP_…`,
    `OTEL_BSP_…`).
    """
    global on  # noqa: PLW0603  # the one switch
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: f"commerce-{process_name()}"}),
        sampler=ParentBased(TraceIdRatioBased(share)),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    on = True


def begin(
    name: str, *, kind: str = INTERNAL, parent: str | None = None, attributes: Attributes | None = None
) -> "Span":
    """A span that the caller has to end. `parent`: a traceparent, or None for the current span."""
    from opentelemetry import trace

    context = None if parent is None else _context_of(parent)
    tracer = trace.get_tracer("commerce")
    return tracer.start_span(name, context=context, kind=trace.SpanKind[kind], attributes=attributes)


def end(span: "Span", *, error: str = "") -> None:
    """End a span that `begin` has started. `error`: the reason of a failure."""
    from opentelemetry.trace import Status, StatusCode

    if error:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end()


def current(span: "Span", *, ends: bool = False) -> AbstractContextManager[Any]:
    """Make the span the current one during the block. With `ends` it ends with the block."""
    from opentelemetry.trace import use_span

    return use_span(span, end_on_exit=ends, record_exception=False)


def traceparent(span: "Span | None" = None) -> str | None:
    """The traceparent header of a span, by default of the current one; None if there is none."""
    from opentelemetry.trace import get_current_span, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span or get_current_span()))
    return carrier.get(TRACEPARENT)


def trace_id() -> str:
    """The id of the current trace in hexadecimal digits; `-` if there is none."""
    from opentelemetry.trace import format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else "-"


def _context_of(parent: str) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACEPARENT: parent}, Context())


def database_span(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Mapping[str, Any]) -> Any:
    """A wrapper for Django's `execute_wrapper`: a span per statement of a traced request, without its parameters."""
    from opentelemetry.trace import get_current_span

    if not get_current_span().is_recording():
        return execute(sql, params, many, context)
    text = " ".join(str(sql).split())
    attributes = {"db.system.name": "postgresql", "db.query.text": text}
    with current(begin(text.partition(" ")[0].upper() or "SQL", kind=CLIENT, attributes=attributes), ends=True):
        return execute(sql, params, many, context)


class TracedWrite(Generic[T]):
    """A write whose events belong to the trace of its own request, also if another request leads the group.

    It has two spans: the wait for the group, and the transaction of the group. After a failed group both start again.
    """

    def __init__(self, write: "Write[T]") -> None:
        self._write = write
        self._parent = traceparent() or ""
        self._span = self._begin("wait for the group")

    def locks(self) -> Any:
        return self._write.locks()

    def load(self, transaction: "Transaction") -> None:
        end(self._span)
        self._span = self._begin("transaction of the group")
        self._write.load(transaction)

    def decide(self, transaction: "Transaction") -> T:
        with current(self._span):
            return self._write.decide(transaction)

    def end(self) -> None:
        end(self._span)

    def _begin(self, name: str) -> "Span":
        return begin(name, parent=self._parent, attributes={"commerce.write": type(self._write).__name__})


@contextmanager
def traced(write: "Write[T]") -> "Iterator[TracedWrite[T]]":
    """Wrap a write that is committed during the block."""
    wrapped = TracedWrite(write)
    try:
        yield wrapped
    finally:
        wrapped.end()
