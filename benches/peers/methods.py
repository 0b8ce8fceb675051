#!/usr/bin/env python3
"""This program beside a CycleGAN: the same pictures and split, the same processor seconds of one core, several seeds, one table.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch pillow
    /tmp/peers/bin/python benches/peers/methods.py --out methods                        # 600 s, 2 pairs of styles, 3 seeds: 2.5 hours
    /tmp/peers/bin/python benches/peers/methods.py --out methods --size-px 256          # ours at full size, too
    /tmp/peers/bin/python benches/peers/methods.py --out methods --secs 60 --seeds 0    # whether all of it runs

Ours is `demotic train quickstart` with the pair's styles on one thread. Its steps are what fits in the seconds by processor time:
runs of 40 and 140 steps are timed, and their difference is 100 steps without start, checks and scores, which the CycleGAN's seconds
leave out, too. Figures are `demotic evaluate`'s: of ours those of the checkpoint that validation pictures name the best, as every command takes
it, of the CycleGAN those of its last weights. What is in OUT already is not done again; delete a folder there to
have it anew. Leaves OUT/figures.json and OUT/table.md. Everything runs one after the other.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import ours

PAIRS = ["openmoji-line,openmoji", "fluent-flat,twemoji"]
# Name, digits, and whether lower is better.
FIGURES = {"l1": (4, True), "ssim": (3, False), "perceptual": (3, True), "kid": (0, True)}
# Steps of the two runs that are timed.
TIMED = (40, 140)


def cpu_secs(command: list[object], log: Path) -> float:
    """Processor seconds of a command on one thread; ends the program where it fails."""
    env = {**os.environ, "RAYON_NUM_THREADS": "1"}
    with log.open("w") as said:
        child = subprocess.Popen([str(word) for word in command], stdout=said, stderr=subprocess.STDOUT, env=env)
        _, status, used = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed:\n{log.read_text()}")
    return used.ru_utime + used.ru_stime


def train(demotic: Path, styles: str, sets: list[str], seed: int, steps: int, folder: Path) -> float:
    # Words are learnt after the pictures, change none of them, and take minutes.
    settings = (f"data.styles={styles}", f"seed={seed}", "words.learn=never", *sets)
    words = [word for setting in settings for word in ("--set", setting)]
    command = [demotic, "train", "quickstart", "--device", "flex", "--steps", steps, "--out", folder, *words]
    shutil.rmtree(folder, ignore_errors=True)
    return cpu_secs(command, folder.with_suffix(".log"))


def secs_a_step(args: argparse.Namespace, demotic: Path, styles: str) -> float:
    """Of a step by itself: what both runs do besides falls out of the difference."""
    file = args.out / f"pace-{styles.replace(',', '-')}.json"
    if not file.exists():
        spent = [train(demotic, styles, args.set, 0, steps, args.out / f"pace-{steps}") for steps in TIMED]
        file.write_text(json.dumps((spent[1] - spent[0]) / (TIMED[1] - TIMED[0])))
    return json.loads(file.read_text())


def figures(scores: Path) -> dict[str, dict]:
    """By direction: those of the model and of the input as it is."""
    found = {}
    for direction in json.loads(scores.read_text())["directions"]:
        row = {method: {name: direction[method][name]["value"] for name in FIGURES} for method in ("model", "copy")}
        found[f"{direction['from']} -> {direction['to']}"] = row | {"n": direction["n"]}
    return found


def table(rows: list[dict], args: argparse.Namespace) -> str:
    lines = [
        f"{args.secs:.0f} processor seconds of one core each ({platform.machine()}, {os.cpu_count()} cores), seeds "
        f"{' / '.join(map(str, args.seeds))}, {datetime.date.today()}; ahead: seeds in which ours is ahead of both others",
        "",
        "| direction | figure | ours | CycleGAN | copy | ahead |",
        "|---|---|---|---|---|---|",
    ]
    for direction in dict.fromkeys(row["direction"] for row in rows):
        of = [row for row in rows if row["direction"] == direction]
        for name, (digits, is_lower_better) in FIGURES.items():
            sign = 1 if is_lower_better else -1
            values = {method: [row[method][name] for row in of] for method in ("ours", "CycleGAN", "copy")}
            ahead = sum(sign * own < min(sign * a, sign * b) for own, a, b in zip(*values.values()))
            cells = [" / ".join(f"{value:.{digits}f}" for value in values[method]) for method in ("ours", "CycleGAN")]
            lines.append(f"| {direction} | {name} | {' | '.join(cells)} | {values['copy'][0]:.{digits}f} | {ahead} of {len(of)} |")
    return "\n".join(lines) + "\n"


def full_size(args: argparse.Namespace, rows: list[dict]) -> str:
    """Ours against the input as it is, at the size of `--size-px`."""
    lines = [f"\nOurs at {args.size_px} px, as `translate` makes it", "", "| direction | figure | ours | copy | ahead |", "|---|---|---|---|---|"]
    for direction in dict.fromkeys(row["direction"] for row in rows):
        of = [row for row in rows if row["direction"] == direction]
        for name, (digits, is_lower_better) in FIGURES.items():
            sign = 1 if is_lower_better else -1
            own = [row["model"][name] for row in of]
            copy = of[0]["copy"][name]
            ahead = sum(sign * value < sign * copy for value in own)
            cells = " / ".join(f"{value:.{digits}f}" for value in own)
            lines.append(f"| {direction} | {name} | {cells} | {copy:.{digits}f} | {ahead} of {len(of)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for everything; goes on where it was stopped")
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar="STYLE,STYLE", help=f"default: {' '.join(PAIRS)}")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2], help="default: 0,1,2")
    parser.add_argument("--secs", type=float, default=600, help="processor seconds of one core (default: 600)")
    parser.add_argument("--size-px", type=int, help="score ours at this size as well")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of ours; may be repeated")
    parser.add_argument("--demotic", help="a built program; without it, cargo builds one")
    args = parser.parse_args()
    demotic = ours.binary(args.demotic)
    args.out.mkdir(parents=True, exist_ok=True)
    rows, large = [], []
    for seed in args.seeds:
        for styles in args.pairs:
            name = f"{styles.replace(',', '-')}-{seed}"
            steps = max(1, round(args.secs / secs_a_step(args, demotic, styles)))
            run = args.out / f"ours-{name}"
            if not (run / "evaluation.json").exists():
                train(demotic, styles, args.set, seed, steps, run)
            peer = args.out / f"cyclegan-{name}"
            if not (peer / "scores.json").exists():
                shutil.rmtree(peer, ignore_errors=True)
                script = Path(__file__).with_name("cyclegan.py")
                command = [sys.executable, script, "--styles", *styles.split(","), "--seed", seed, "--secs", args.secs, "--out", peer]
                cpu_secs([*command, "--demotic", demotic], args.out / f"cyclegan-{name}.log")
            own, other = figures(run / "evaluation.json"), figures(peer / "scores.json")
            for direction, row in own.items():
                methods = {"ours": row["model"], "CycleGAN": other[direction]["model"], "copy": row["copy"]}
                rows.append({"direction": direction, "seed": seed, "steps": steps, "n": row["n"], **methods})
            if args.size_px:
                scores = args.out / f"ours-{name}-{args.size_px}.json"
                if not scores.exists():
                    words = ["evaluate", "--run", run, "--size-px", args.size_px, "--styles", styles, "--device", "flex", "--json", scores]
                    cpu_secs([demotic, *words], scores.with_suffix(".log"))
                large += [{"direction": direction, "seed": seed, **row} for direction, row in figures(scores).items()]
            (args.out / "figures.json").write_text(json.dumps({"methods": rows, "full_size": large}, indent=2) + "\n")
            (args.out / "table.md").write_text(table(rows, args) + (full_size(args, large) if large else ""))
            print(f"{name}: {steps} steps of ours; {args.out / 'table.md'}", flush=True)
    print((args.out / "table.md").read_text())


if __name__ == "__main__":
    main()
