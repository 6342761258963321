"""Hedge: a second attempt beside a slow first one; the first success wins."""
