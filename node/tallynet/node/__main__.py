"""`python -m tallynet.node`: the node's commands without the rest of the command line."""

from tallynet.node.commands import node_app

if __name__ == "__main__":
    node_app(prog_name="python -m tallynet.node")
