"""@idempotent: keys, results and tombstones in the transaction of whoever has the effect."""
