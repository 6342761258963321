"""Make calls to unreliable things recover: retry, circuit breaker, fallback, bulkhead, deadline, cache, compensation.

Three ways in: decorate a function; stack decorators for layered recovery; `await workflow.execute(func)`.

Names are loaded when they are first used, so that `import recoup` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup._core.conditions import Condition as Condition
    from recoup._core.conditions import when as when
    from recoup._core.deadlines import Deadline as Deadline
    from recoup._core.emit import Subscription as Subscription
    from recoup._core.emit import subscribe as subscribe
    from recoup._core.explain import Explanation as Explanation
    from recoup._core.explain import explain as explain
    from recoup._core.registry import Registry as Registry
    from recoup._core.registry import registry as registry
    from recoup._core.rim import layers_of as layers_of
    from recoup._core.strategy import Strategy as Strategy
    from recoup._core.timing import current_deadline as current_deadline
    from recoup.errors import BulkheadFullError as BulkheadFullError
    from recoup.errors import BulkheadTimeoutError as BulkheadTimeoutError
    from recoup.errors import CircuitBreakerError as CircuitBreakerError
    from recoup.errors import CompensationError as CompensationError
    from recoup.errors import DeadlineExceeded as DeadlineExceeded
    from recoup.errors import IsolationBusyError as IsolationBusyError
    from recoup.errors import RateLimitExceeded as RateLimitExceeded
    from recoup.errors import RecoveryError as RecoveryError
    from recoup.errors import Refusal as Refusal
    from recoup.errors import RetryExhausted as RetryExhausted
    from recoup.errors import StackWarning as StackWarning
    from recoup.errors import ThrottledError as ThrottledError
    from recoup.errors import UnacceptableResult as UnacceptableResult
    from recoup.errors import UnpicklableError as UnpicklableError
    from recoup.errors import WorkerCrashed as WorkerCrashed
    from recoup.errors import WorkersBusyError as WorkersBusyError
    from recoup.strategies.bulkhead.config import BulkheadConfig as BulkheadConfig
    from recoup.strategies.bulkhead.decorator import bulkhead as bulkhead
    from recoup.strategies.bulkhead.histogram import Histogram as Histogram
    from recoup.strategies.bulkhead.limits import AIMDLimit as AIMDLimit
    from recoup.strategies.bulkhead.limits import Gradient2Limit as Gradient2Limit
    from recoup.strategies.bulkhead.limits import VegasLimit as VegasLimit
    from recoup.strategies.bulkhead.lines import queue_as as queue_as
    from recoup.strategies.bulkhead.strategy import Bulkhead as Bulkhead
    from recoup.strategies.cache.config import CacheConfig as CacheConfig
    from recoup.strategies.cache.strategy import Cache as Cache
    from recoup.strategies.cache.strategy import cached as cached
    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig as CircuitBreakerConfig
    from recoup.strategies.circuit_breaker.control import disable as disable
    from recoup.strategies.circuit_breaker.control import force_open as force_open
    from recoup.strategies.circuit_breaker.control import metrics_only as metrics_only
    from recoup.strategies.circuit_breaker.decorator import circuit_breaker as circuit_breaker
    from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker as KeyedCircuitBreaker
    from recoup.strategies.circuit_breaker.phases import CircuitBreakerState as CircuitBreakerState
    from recoup.strategies.circuit_breaker.strategy import CircuitBreaker as CircuitBreaker
    from recoup.strategies.compensation.config import CompensationConfig as CompensationConfig
    from recoup.strategies.compensation.scope import Saga as Saga
    from recoup.strategies.compensation.scope import saga as saga
    from recoup.strategies.compensation.strategy import Compensation as Compensation
    from recoup.strategies.compensation.strategy import compensate as compensate
    from recoup.strategies.deadline.config import DeadlineConfig as DeadlineConfig
    from recoup.strategies.deadline.strategy import TimeLimiter as TimeLimiter
    from recoup.strategies.deadline.strategy import deadline as deadline
    from recoup.strategies.fallback.config import FallbackConfig as FallbackConfig
    from recoup.strategies.fallback.decorator import fallback as fallback
    from recoup.strategies.fallback.strategy import Fallback as Fallback
    from recoup.strategies.fault_injection.config import FaultInjectionConfig as FaultInjectionConfig
    from recoup.strategies.fault_injection.strategy import FaultInjection as FaultInjection
    from recoup.strategies.fault_injection.strategy import inject_faults as inject_faults
    from recoup.strategies.hedge.config import HedgeConfig as HedgeConfig
    from recoup.strategies.hedge.strategy import Hedge as Hedge
    from recoup.strategies.hedge.strategy import hedge as hedge
    from recoup.strategies.isolation.config import IsolationConfig as IsolationConfig
    from recoup.strategies.isolation.decorator import isolate as isolate
    from recoup.strategies.isolation.strategy import Isolation as Isolation
    from recoup.strategies.rate_limit.config import RateLimitConfig as RateLimitConfig
    from recoup.strategies.rate_limit.decorator import rate_limit as rate_limit
    from recoup.strategies.rate_limit.rates import AIMDRate as AIMDRate
    from recoup.strategies.rate_limit.rates import CubicRate as CubicRate
    from recoup.strategies.rate_limit.strategy import RateLimiter as RateLimiter
    from recoup.strategies.retry.budget import RetryBudget as RetryBudget
    from recoup.strategies.retry.config import BackoffStrategy as BackoffStrategy
    from recoup.strategies.retry.config import RetryAfter as RetryAfter
    from recoup.strategies.retry.config import RetryConfig as RetryConfig
    from recoup.strategies.retry.decorator import retry as retry
    from recoup.strategies.retry.nesting import set_nested_retries as set_nested_retries
    from recoup.strategies.retry.strategy import RetryExecutor as RetryExecutor
    from recoup.strategies.throttle.config import AdaptiveThrottleConfig as AdaptiveThrottleConfig
    from recoup.strategies.throttle.strategy import AdaptiveThrottle as AdaptiveThrottle
    from recoup.strategies.throttle.strategy import adaptive_throttle as adaptive_throttle
    from recoup.workflow.config import ErrorRecoveryConfig as ErrorRecoveryConfig
    from recoup.workflow.config import RecoveryStrategy as RecoveryStrategy
    from recoup.workflow.factories import create_circuit_breaker_workflow as create_circuit_breaker_workflow
    from recoup.workflow.factories import create_retry_workflow as create_retry_workflow
    from recoup.workflow.record import ExecutionRecord as ExecutionRecord
    from recoup.workflow.workflow import ErrorRecoveryWorkflow as ErrorRecoveryWorkflow

__version__ = "0.1.0"

_HOMES = {
    "_core.conditions": ("Condition", "when"),
    "_core.deadlines": ("Deadline",),
    "_core.emit": ("Subscription", "subscribe"),
    "_core.explain": ("Explanation", "explain"),
    "_core.registry": ("Registry", "registry"),
    "_core.rim": ("layers_of",),
    "_core.strategy": ("Strategy",),
    "_core.timing": ("current_deadline",),
    "errors": (
        "BulkheadFullError",
        "BulkheadTimeoutError",
        "CircuitBreakerError",
        "CompensationError",
        "DeadlineExceeded",
        "IsolationBusyError",
        "RateLimitExceeded",
        "RecoveryError",
        "Refusal",
        "RetryExhausted",
        "StackWarning",
        "ThrottledError",
        "UnacceptableResult",
        "UnpicklableError",
        "WorkerCrashed",
        "WorkersBusyError",
    ),
    "strategies.bulkhead.config": ("BulkheadConfig",),
    "strategies.bulkhead.decorator": ("bulkhead",),
    "strategies.bulkhead.histogram": ("Histogram",),
    "strategies.bulkhead.limits": ("AIMDLimit", "Gradient2Limit", "VegasLimit"),
    "strategies.bulkhead.lines": ("queue_as",),
    "strategies.bulkhead.strategy": ("Bulkhead",),
    "strategies.cache.config": ("CacheConfig",),
    "strategies.cache.strategy": ("Cache", "cached"),
    "strategies.circuit_breaker.config": ("CircuitBreakerConfig",),
    "strategies.circuit_breaker.control": ("disable", "force_open", "metrics_only"),
    "strategies.circuit_breaker.decorator": ("circuit_breaker",),
    "strategies.circuit_breaker.keyed": ("KeyedCircuitBreaker",),
    "strategies.circuit_breaker.phases": ("CircuitBreakerState",),
    "strategies.circuit_breaker.strategy": ("CircuitBreaker",),
    "strategies.compensation.config": ("CompensationConfig",),
    "strategies.compensation.scope": ("Saga", "saga"),
    "strategies.compensation.strategy": ("Compensation", "compensate"),
    "strategies.deadline.config": ("DeadlineConfig",),
    "strategies.deadline.strategy": ("TimeLimiter", "deadline"),
    "strategies.fallback.config": ("FallbackConfig",),
    "strategies.fallback.decorator": ("fallback",),
    "strategies.fallback.strategy": ("Fallback",),
    "strategies.fault_injection.config": ("FaultInjectionConfig",),
    "strategies.fault_injection.strategy": ("FaultInjection", "inject_faults"),
    "strategies.hedge.config": ("HedgeConfig",),
    "strategies.hedge.strategy": ("Hedge", "hedge"),
    "strategies.isolation.config": ("IsolationConfig",),
    "strategies.isolation.decorator": ("isolate",),
    "strategies.isolation.strategy": ("Isolation",),
    "strategies.rate_limit.config": ("RateLimitConfig",),
    "strategies.rate_limit.decorator": ("rate_limit",),
    "strategies.rate_limit.rates": ("AIMDRate", "CubicRate"),
    "strategies.rate_limit.strategy": ("RateLimiter",),
    "strategies.retry.budget": ("RetryBudget",),
    "strategies.retry.config": ("BackoffStrategy", "RetryAfter", "RetryConfig"),
    "strategies.retry.decorator": ("retry",),
    "strategies.retry.nesting": ("set_nested_retries",),
    "strategies.retry.strategy": ("RetryExecutor",),
    "strategies.throttle.config": ("AdaptiveThrottleConfig",),
    "strategies.throttle.strategy": ("AdaptiveThrottle", "adaptive_throttle"),
    "workflow.config": ("ErrorRecoveryConfig", "RecoveryStrategy"),
    "workflow.factories": ("create_circuit_breaker_workflow", "create_retry_workflow"),
    "workflow.record": ("ExecutionRecord",),
    "workflow.workflow": ("ErrorRecoveryWorkflow",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AIMDLimit",
    "AIMDRate",
    "AdaptiveThrottle",
    "AdaptiveThrottleConfig",
    "BackoffStrategy",
    "Bulkhead",
    "BulkheadConfig",
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "Cache",
    "CacheConfig",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerError",
    "CircuitBreakerState",
    "Compensation",
    "CompensationConfig",
    "CompensationError",
    "Condition",
    "CubicRate",
    "Deadline",
    "DeadlineConfig",
    "DeadlineExceeded",
    "ErrorRecoveryConfig",
    "ErrorRecoveryWorkflow",
    "ExecutionRecord",
    "Explanation",
    "Fallback",
    "FallbackConfig",
    "FaultInjection",
    "FaultInjectionConfig",
    "Gradient2Limit",
    "Hedge",
    "HedgeConfig",
    "Histogram",
    "Isolation",
    "IsolationBusyError",
    "IsolationConfig",
    "KeyedCircuitBreaker",
    "RateLimitConfig",
    "RateLimitExceeded",
    "RateLimiter",
    "RecoveryError",
    "RecoveryStrategy",
    "Refusal",
    "Registry",
    "RetryAfter",
    "RetryBudget",
    "RetryConfig",
    "RetryExecutor",
    "RetryExhausted",
    "Saga",
    "StackWarning",
    "Strategy",
    "Subscription",
    "ThrottledError",
    "TimeLimiter",
    "UnacceptableResult",
    "UnpicklableError",
    "VegasLimit",
    "WorkerCrashed",
    "WorkersBusyError",
    "adaptive_throttle",
    "bulkhead",
    "cached",
    "circuit_breaker",
    "compensate",
    "create_circuit_breaker_workflow",
    "create_retry_workflow",
    "current_deadline",
    "deadline",
    "disable",
    "explain",
    "fallback",
    "force_open",
    "hedge",
    "inject_faults",
    "isolate",
    "layers_of",
    "metrics_only",
    "queue_as",
    "rate_limit",
    "registry",
    "retry",
    "saga",
    "set_nested_retries",
    "subscribe",
    "when",
]


if not TYPE_CHECKING:  # it would make a name of ours of any mistake

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'recoup' has no attribute {name!r}")
        value = getattr(import_module(f"recoup.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
