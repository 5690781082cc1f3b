"""Cheats of the ledger layer: each a node whose honest part is the real one, with one thing changed.

    cheat.py        what every cheat is; kinds.py  all of them, by name
    late_anchor.py, dropped_leaf.py, altered_leaf.py, double_index.py, forked_checkpoint.py, withheld_tiles.py,
    stale_backup.py one idea each
    __main__.py     a cheat as a process, for `tallynet devnet up --cheat`

And how they are caught, by what anybody may use:

    trial.py        a small network around one node, and work for it
    detective.py    the auditor's tools, one after the other, until one finds something; court.py  the stake is taken
    sentence.py     what must come of each kind; report.py  how that is told
    command.py      `tallynet devnet cheats`
"""
