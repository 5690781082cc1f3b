"""Checking from outside: nothing here trusts a node, and only what the chain says is taken as given.

In reading order: `verify`, one bundle, checks (1) to (13) of spec chapter 6; `anchoring`, what the chain adds to it;
`claims`, what is proven by then and what is not; `history` and `node_audit`, a node's whole log; `report`, how it is
told; `connection`, how chain and nodes are reached; `commands`, `tallynet audit`.
"""
