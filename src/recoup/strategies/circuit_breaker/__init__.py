"""Circuit breaker: stop calling what keeps failing, and find out with a few probes when it works again."""
