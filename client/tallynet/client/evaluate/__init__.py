"""`tallynet evaluate`: a suite of questions as jobs on the network, and what came of them as a report on the record.

    with Client() as client:
        report = client.evaluate("tally-tiny", "smoke", limit=8, progress=True)
        report = client.anchor_report(report, seconds=60)
    write_report(Path("smoke.report.tally"), report)

`run.evaluate` is the same for asynchronous programs.

In reading order: `suite_file`, the suite from a folder; `run`, all of it; `asking`, its jobs, and `kept`, their answers
on disk; `closing`, the report and the job that dates it; `comparison`, with an earlier report; `display` and
`commands`, the command line. What a suite, a number and a report are is in `tallynet.evaluation`, which auditors use
too.
"""
