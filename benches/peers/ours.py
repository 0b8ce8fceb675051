"""Our side of a comparison: one of our criterion benches, run and read. Shared by the peers; nothing to call on its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(bench: str, arguments: list[str], env: dict[str, str], binary: str | None) -> None:
    """Runs a bench: through cargo, unless a built one is given."""
    command = [binary, "--bench"] if binary else ["cargo", "bench", "--bench", bench, "--"]
    result = subprocess.run(
        [*command, *arguments], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        sys.exit(f"the {bench} bench failed:\n{result.stderr}")


def times_ms(bench: str, label: str, env: dict[str, str], binary: str | None, samples: int | None = None) -> list[float]:
    """Milliseconds a call: every sample that criterion took of the one case whose label ends so; none where there is no such case."""
    count = ["--sample-size", str(samples)] if samples else []
    with tempfile.TemporaryDirectory() as folder:
        run(bench, ["--noplot", *count, f"{label}$"], {**env, "CRITERION_HOME": folder}, binary)
        samples = list(Path(folder).glob("**/new/sample.json"))
        if len(samples) > 1:
            sys.exit(f"the {bench} bench left {len(samples)} measurements of {label}, expected 1")
        found = [json.loads(path.read_text()) for path in samples]
        return [time / count * 1e-6 for one in found for time, count in zip(one["times"], one["iters"], strict=True)]
