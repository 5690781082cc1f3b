"""A whole network on one machine: chain, nodes, cheats and a tiny model. The top layer: may import everything.

    command.py      `tallynet`, the root command; demo.py, up.py   the commands that live here

The demonstration, in one process:

    play.py         the six steps, told; stage.py  how they look; outcome.py  what they have shown
    fixture.py      `open_devnet`: a network inside the process, for tests too
    world.py        what it stands on: everything in memory, or libp2p and a chain
    tampering.py    cheats: an honest node behind a transport that is not

`tallynet devnet up`, in many processes:

    network.py      the whole story; plan.py  the folder; board.py  the table on the screen
    program.py      one process, its ready file, log and end; child.py, lifetime.py   seen from inside
    deployment.py   contract, money, registration; purse.py  payments
    chain/          the embedded chain; anvil.py  Foundry's in its place

    tiny/           how the tiny model is made; models/  the model
"""
