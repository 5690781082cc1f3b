"""The verification shown in the README is what the command prints."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tallynet.audit.commands import audit_app
from tallynet.protocol.bundle import write_bundle
from tests.audit.examples import bundle

README = Path(__file__).parents[2] / "audit" / "README.md"


def test_the_offline_verification_is_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYNET_CONFIG", str(tmp_path))
    path = tmp_path / "answer.tally"
    path.write_text(write_bundle(bundle()))

    result = CliRunner(env={"COLUMNS": "80"}).invoke(audit_app, ["verify", str(path), "--offline"])

    assert result.exit_code == 0
    assert f"$ tallynet audit verify answer.tally --offline\n{result.stdout}```" in README.read_text()
