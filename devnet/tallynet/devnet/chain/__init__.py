"""A small Ethereum chain for one machine: `evm` makes blocks, `rpc` answers questions, `server` listens.

It speaks JSON-RPC, so web3 and every other client take it for an ordinary node. Nothing of it outlives its process.
"""
