"""Figures beside their baselines, measured in one run: `tallynet bench`.

report.py    one figure, the table, the JSON
ledger.py    all of the ledger; command.py  `tallynet bench ledger`
receipts.py  receipts a second; proofs.py  re-hashing, inclusion, signers; bundle.py  bytes of a proof;
audit.py     seconds of a whole audit; leaves.py  what the logs are made of
replay.py    `tallynet bench audit`: a replay against a prefill and against generating; llamas.py  the models for it

engine.py    all of the engine; command.py  `tallynet bench engine`
ways.py      what it is compared with; random_model.py, mixture.py  on what
throughput.py, stage.py, players.py, workload.py   a bare engine against the same engine behind the whole network
gateway.py   the gateway against its node's engine; `tallynet bench gateway`
"""
