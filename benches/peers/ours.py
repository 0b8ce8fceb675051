"""Our side of a comparison: the release binary, run and read. Shared by the peers; nothing to call on its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Thread counts that torch is tried with: small operations are often faster on one, and all are slow on a busy
# machine.
THREADS = sorted({1, os.cpu_count() or 1})


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


def said(demotic: Path, *arguments: str, is_partly_enough: bool = False) -> dict:
    """What a command of ours says in JSON; ends the program where that failed, or failed in part and that is not enough."""
    result = subprocess.run([str(demotic), *arguments, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0 and not (is_partly_enough and result.stdout):
        sys.exit(f"`demotic {' '.join(arguments)} --json` failed:\n{result.stderr}")
    return json.loads(result.stdout)


def recipe_words(recipe: str, sets: list[str]) -> list[str]:
    """A recipe of configs/ and changes to it, as arguments."""
    return [str(ROOT / "configs" / f"{recipe}.toml"), *(word for setting in sets for word in ("--set", setting))]


def compared(demotic: Path, recipe: str, device: str, steps: int, sets: list[str]) -> dict:
    """Steps of a recipe on one device, the first two of them untimed."""
    return said(demotic, "compare", "--devices", device, "--steps", str(steps), "--config", *recipe_words(recipe, sets))


def automatic(demotic: Path, recipe: str, sets: list[str]) -> dict[str, float | str]:
    """What `augment_prob` and `canvas` that are `auto` come to with a recipe's pictures: 0, or what a dry run reports of them."""
    command = [str(demotic), "train", "--device", "flex", "--dry-run", *recipe_words(recipe, sets)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed:\n{result.stderr}")
    varied = re.search(r"^augment .* each way with probability ([0-9.]+)$", result.stdout, re.MULTILINE)
    held = re.search(r"^margin .*\(loss\.canvas ([0-9.]+)\)$", result.stdout, re.MULTILINE)
    return {"augment_prob": f"auto, which is {varied[1]}" if varied else 0, "canvas": float(held[1]) if held else 0}


def crf_rows(demotic: Path, device: str, words: list[str], secs: float) -> list[dict]:
    """The rows of `demotic bench` whose labels hold one of `words`; one that failed is reported and left out."""
    rows = said(demotic, "bench", "--device", device, "--only", ",".join(words), "--secs", str(secs), is_partly_enough=True)["cases"]
    for row in rows:
        if row["failure"]:
            print(f"  ours, {row['label']}: {row['failure']}")
    return [row for row in rows if not row["failure"]]


def whole_numbers(text: str) -> list[int]:
    """Of `1,2`: 1 or more each."""
    numbers = [int(number) for number in text.split(",")]
    if min(numbers) < 1:
        raise ValueError
    return numbers


def load() -> float | str:
    """Load average of the last minute."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else "unknown"


def leave(file: str | None, found: dict) -> None:
    """Writes what was found until now, where a file is named."""
    if file:
        Path(file).write_text(json.dumps(found, indent=2) + "\n")


def exported(folder: str, bench: str | None) -> None:
    """Has the bench `train_step` write what two steps take and come to: the built one given, else through cargo, for it is no part of
    the binary."""
    env = {**os.environ, "DEMOTIC_BENCH_EXPORT": folder, "DEMOTIC_BENCH_DEVICE": "flex"}
    command = [str(Path(bench).resolve()), "--bench"] if bench else ["cargo", "bench", "--bench", "train_step"]
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"the train_step bench failed:\n{result.stderr}")
