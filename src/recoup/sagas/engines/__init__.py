"""Engines: `@saga` functions on somebody else's durable execution (DBOS, Temporal).

    lockstep.py   a plain function as a coroutine, so that a synchronous saga runs where only coroutines may
"""
