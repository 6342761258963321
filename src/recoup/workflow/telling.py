"""What happens when an execution fails: it is logged and counted, and the user's callbacks hear of it."""

from __future__ import annotations

from recoup._core import emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.workflow.workflow import ErrorRecoveryWorkflow

__all__ = ["tell", "tell_async"]


def tell(workflow: ErrorRecoveryWorkflow, error: Exception) -> None:
    """Tell whom it concerns of a failed execution, answered by a fallback or not."""
    count = _noted(workflow, error)
    if workflow.on_error is not None:
        emit.call(workflow.on_error, error)
    if count is not None and workflow.on_alert is not None:
        emit.call(workflow.on_alert, count)


async def tell_async(workflow: ErrorRecoveryWorkflow, error: Exception) -> None:
    """Do what `tell` does, awaiting the callbacks."""
    count = _noted(workflow, error)
    if workflow.on_error is not None:
        await emit.call_async(workflow.on_error, error)
    if count is not None and workflow.on_alert is not None:
        await emit.call_async(workflow.on_alert, count)


def _noted(workflow: ErrorRecoveryWorkflow, error: Exception) -> int | None:
    """Log and count a failed execution."""
    if workflow.config.log_errors:
        import logging  # noqa: PLC0415 - not before something goes wrong

        logging.getLogger("recoup").warning(
            "%s: execution failed: %s: %s", workflow.name, type(error).__qualname__, error
        )
    return workflow._metrics.failed()
