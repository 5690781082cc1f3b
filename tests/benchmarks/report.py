"""Which figures there are. How they are compared and told is in `tallynet.devnet.bench.report`."""

KEYS = (
    "tokens_per_second_1_client",
    "tokens_per_second_16_clients",
    "added_seconds_to_first_token",
    "receipts_per_second",
    "rehashed_leaves_per_second",
    "inclusion_checks_per_second",
    "signatures_recovered_per_second",
    "gas_1_job_per_anchor",
    "gas_100_jobs_per_anchor",
    "gas_1000_jobs_per_anchor",
    "seconds_from_start_to_ready",
    "resident_megabytes_ready",
    "resident_megabytes_after_16_clients",
)
"""Every report has these rows, in this order."""
