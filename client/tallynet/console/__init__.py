"""What every command shares: where the network is described, how results and errors are said, exit codes.

`folders` and `network_file` say where things are, `terminal` how they are told, `option_group` how options are shared.
Commands themselves live with their components; `tallynet.devnet.command` gathers them.
"""
