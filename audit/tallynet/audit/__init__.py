"""Checking from outside: nothing here trusts a node, and only what the chain says is taken as given.

In reading order: `verdict`, what checks find and what it comes to; `verify`, one bundle, checks (1) to (13) of spec
chapter 6; `anchoring`, what the chain adds to it; `claims` and `explanation`, what is proven by then and what is not;
`inspection`, `conversation` and `bundle_json`, a bundle as commands take it, show it and hand it on; `flow_audit`, a
whole flow, by spec chapter 7; `history`, `log_walk` and `node_audit`, a node's whole log; `evidence` and
`evidence_file`, faults found and written down; `slashing` and `challenging`, what the contract does about them;
`own_receipts`, one's own runs; `replay` and `judgement`, a run made again, against `thresholds` that `calibration`
and `scores` measure, with the exact numbers of `tails`; `sample` and its siblings, what a block drew of a node's runs,
and `attesting`, that on the chain; `node_watch` and `watch`, nodes from now on; `connection`, how chain and nodes are
reached; `report` and its siblings, how it is told; `commands` and its siblings, `tallynet audit`.
"""
