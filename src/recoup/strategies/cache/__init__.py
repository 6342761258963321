"""Cache: answer a call from an earlier result, and let equal calls at the same time share one."""
