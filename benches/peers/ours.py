"""Our side of a comparison: the release binary, run and read. Shared by the peers and by benches/gpu/run; nothing to call on its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def binary(given: str | None) -> Path:
    """The release binary: the one given, else the one that cargo builds here."""
    if given:
        path = Path(given).resolve()
        if not os.access(path, os.X_OK) or not path.is_file():
            sys.exit(f"error: no program there: {path}")
        return path
    try:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bins"], cwd=ROOT, check=True)
        about = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: cargo cannot build the program ({error}); name a built one with --demotic BINARY")
    return Path(json.loads(about.stdout)["target_directory"]) / "release" / ("demotic.exe" if os.name == "nt" else "demotic")


def said(demotic: Path, *arguments: str) -> dict:
    """What a command of ours says in JSON; ends the program where that failed."""
    result = subprocess.run([str(demotic), *arguments, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"`demotic {' '.join(arguments)} --json` failed:\n{result.stderr}")
    return json.loads(result.stdout)


def compared(demotic: Path, recipe: str, device: str, steps: int, sets: list[str]) -> dict:
    """Steps of a recipe of configs/ on one device, the first two of them untimed."""
    sets = [word for setting in sets for word in ("--set", setting)]
    config = str(ROOT / "configs" / f"{recipe}.toml")
    return said(demotic, "compare", "--devices", device, "--config", config, "--steps", str(steps), *sets)


def crf_ms(demotic: Path, label: str, secs: float) -> float:
    """Milliseconds of one row of `demotic bench`, `op/impl/device/case`."""
    device = label.split("/")[2]
    cases = said(demotic, "bench", "--device", device, "--only", label, "--secs", str(secs))["cases"]
    return next(case["median_secs"] * 1e3 for case in cases if case["label"] == label)


def exported(folder: str) -> None:
    """Has the bench `train_step` write what two steps take and come to; through cargo, for it is no part of the binary."""
    env = {**os.environ, "DEMOTIC_BENCH_EXPORT": folder, "DEMOTIC_BENCH_DEVICE": "flex"}
    command = ["cargo", "bench", "--bench", "train_step"]
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"the train_step bench failed:\n{result.stderr}")
