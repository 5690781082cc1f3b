"""What is said and signed. Pure: no network, no clock, no torch; only `keystore` and `whole_file` touch the disk.

In reading order: `units` and `errors`, the words of everything; `keys`, `eip712` and `commitment`; then the
life of a job: `job` and `request` (1), `advert` (2), `chunk` (3), `leaf` and `receipt` (4), `merkle`,
`merkle_tree` and `checkpoint` (5), `bundle` (6); `wire`, how all of it travels; `manifest`, what a model is.
"""
