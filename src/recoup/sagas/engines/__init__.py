"""Engines: `@saga` functions on somebody else's durable execution (DBOS, Temporal).

    begin.py      what a workflow is given of a saga that begins
    play.py       one saga while its function runs: which step is which, what is to be undone; decides without I/O
    pumps.py      the function, its steps and their undoing, in both colours
    hands.py      what happens when an engine lets a step run, or has it undone, in whatever process
    lockstep.py   a plain function as a coroutine, so that a synchronous saga runs where only coroutines may

    user calls place(order) --> engine.run --> DBOS or Temporal: a workflow of ours --> pumps.run: the user's function
        the function calls charge(order) --> play.inside --> engine.do --> DBOS or Temporal: hands.do, once, remembered

The engines themselves are `recoup.ext.dbos` and `recoup.ext.temporal`.
"""
