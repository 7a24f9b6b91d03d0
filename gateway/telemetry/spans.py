"""The span of a request, by OpenTelemetry's semantic conventions for HTTP servers and for generative AI.

Imported only where spans are exported: the SDK takes a fifth of a second to load.
"""

import time
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes, url_attributes
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from gateway.telemetry.destinations import destinations, operation_of
from gateway.telemetry.trace_context import TraceContext
from sluice.settings import Settings

if TYPE_CHECKING:
    from gateway.exchange import Exchange

SCOPE = InstrumentationScope("sluice.gateway")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_OK = Status(StatusCode.UNSET)
_FAILED = Status(StatusCode.ERROR)


class SpanMaker:
    """Makes the spans of one gateway process.

    Args:
        resource: names this process.
    """

    def __init__(self, settings: Settings, resource: Resource) -> None:
        self._resource = resource
        self._destinations = destinations(settings)
        self._host = settings.gateway.host
        self._port = settings.gateway.port

    def span(self, exchange: "Exchange", trace: TraceContext) -> ReadableSpan:
        """The span of a request that has ended."""
        end = time.time_ns()
        method = exchange.request.method.decode()
        operation = operation_of(exchange.endpoint)
        parent = trace.parent_id
        return ReadableSpan(
            name=f"{operation} {exchange.route}".rstrip() if operation else f"{method} {exchange.endpoint.path}",
            context=SpanContext(trace.trace_id, trace.span_id, is_remote=False, trace_flags=_SAMPLED),
            parent=None
            if parent is None
            else SpanContext(trace.trace_id, parent, is_remote=True, trace_flags=_SAMPLED),
            resource=self._resource,
            attributes={
                name: value for name, value in self._attributes(exchange, operation).items() if value is not None
            },
            kind=SpanKind.SERVER,
            status=_FAILED if exchange.failed else _OK,
            start_time=end - int(exchange.duration * 1e9),
            end_time=end,
            instrumentation_scope=SCOPE,
        )

    def _attributes(self, exchange: "Exchange", operation: str | None) -> dict[str, AttributeValue | None]:
        error = exchange.error or (str(exchange.status) if exchange.status >= 400 else None)
        attributes: dict[str, AttributeValue | None] = {
            http_attributes.HTTP_REQUEST_METHOD: exchange.request.method.decode(),
            http_attributes.HTTP_RESPONSE_STATUS_CODE: exchange.status,
            url_attributes.URL_PATH: exchange.endpoint.path,
            server_attributes.SERVER_ADDRESS: self._host,
            server_attributes.SERVER_PORT: self._port,
            error_attributes.ERROR_TYPE: error,
            "sluice.request.id": exchange.request_id,
            "sluice.parent.id": exchange.parent_id,
            "sluice.key.id": exchange.identity and exchange.identity.key_id,
            "sluice.policy": exchange.policy,
            "sluice.charged_tokens": exchange.charged,
            "sluice.cache": exchange.cache,
        }
        return attributes | self._of_model(exchange, operation) if operation else attributes

    def _of_model(self, exchange: "Exchange", operation: str) -> dict[str, AttributeValue | None]:
        usage = exchange.token_usage()
        destination = self._destinations.get(exchange.route)
        first_token = exchange.first_token and exchange.first_token - exchange.started
        return {
            gen_ai.GEN_AI_OPERATION_NAME: operation,
            gen_ai.GEN_AI_PROVIDER_NAME: destination and destination.provider,
            gen_ai.GEN_AI_REQUEST_MODEL: exchange.route or None,
            gen_ai.GEN_AI_RESPONSE_MODEL: exchange.target.model
            if exchange.target
            else destination and destination.model,
            gen_ai.GEN_AI_REQUEST_STREAM: exchange.copy is not None,
            gen_ai.GEN_AI_USAGE_INPUT_TOKENS: usage.prompt_tokens,
            gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS: usage.completion_tokens,
            gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: usage.cached_tokens,
            gen_ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: first_token,
            "gen_ai.server.time_to_first_token": first_token,
            "sluice.prompt": exchange.prompt,
            "sluice.upstream": exchange.upstream or (destination and destination.address),
        }
