"""The test in devnet/README.md is a test that passes."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "devnet" / "README.md"


def test_the_example_passes(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    (tmp_path / "test_example.py").write_text(example)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "trio_mode=true",
        "-c",
        "/dev/null",
    ]

    run = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=100)

    assert "1 passed" in run.stdout, run.stdout + run.stderr
