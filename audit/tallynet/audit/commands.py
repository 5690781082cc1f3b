"""`tallynet audit`: check a bundle, or a node's whole log, without anybody's goodwill."""

import typer

from tallynet.audit.attest_commands import add_attest_commands
from tallynet.audit.attribute_commands import add_attribute_commands
from tallynet.audit.bundle_commands import add_bundle_commands
from tallynet.audit.evaluation_commands import add_evaluation_commands
from tallynet.audit.fault_commands import add_fault_commands
from tallynet.audit.flow_commands import add_flow_commands
from tallynet.audit.mine_commands import add_mine_commands
from tallynet.audit.node_commands import add_node_commands
from tallynet.audit.replay_commands import add_replay_commands
from tallynet.audit.sample_commands import add_sample_commands
from tallynet.audit.verify_commands import add_verify_commands
from tallynet.audit.watch_commands import add_watch_commands

audit_app = typer.Typer(name="audit", help="Check answers and nodes, trusting only the chain.", no_args_is_help=True)

add_verify_commands(audit_app)
add_bundle_commands(audit_app)
add_flow_commands(audit_app)
add_node_commands(audit_app)
add_fault_commands(audit_app)
add_mine_commands(audit_app)
add_watch_commands(audit_app)
add_replay_commands(audit_app)
add_sample_commands(audit_app)
add_attest_commands(audit_app)
add_evaluation_commands(audit_app)
add_attribute_commands(audit_app)
