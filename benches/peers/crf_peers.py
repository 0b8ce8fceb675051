#!/usr/bin/env python3
"""Times loss and gradient of a linear-chain CRF in other people's libraries, on the cases of `cargo bench --bench crf`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch pytorch-crf torch-struct
    /tmp/peers/bin/python benches/peers/crf_peers.py                   # the peers alone
    /tmp/peers/bin/python benches/peers/crf_peers.py --side-by-side    # and ours, case by case in the same minute

Medians over repeats after a warm-up, emissions and transitions both requiring gradients, every library's loss summed over
chains. Side by side runs each case's Rust bench right before that case's peers, so that both see the same machine.
"""

import argparse
import os
import re
import statistics
import subprocess
import time
import warnings
from pathlib import Path

import torch

# (T positions, B chains, L labels): demotic_crf::cases::SPEED.
CASES = [(16, 1024, 8), (32, 1024, 8), (64, 2048, 4), (64, 256, 16), (4096, 4, 8)]
warnings.filterwarnings("ignore", category=UserWarning, module="torch_struct")
ROOT = Path(__file__).resolve().parents[2]


def median_ms(run, budget_secs: float) -> float:
    """Median wall time of `run` in milliseconds over about `budget_secs`, after one warm-up (once, where one run takes longer)."""
    run()
    times = []
    end = time.perf_counter() + budget_secs
    while not times or (time.perf_counter() < end and len(times) < 50):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def pytorch_crf(length: int, chains: int, labels: int):
    from torchcrf import CRF

    torch.manual_seed(1)
    crf = CRF(labels, batch_first=True)
    emissions = torch.randn(chains, length, labels, requires_grad=True)
    gold = torch.randint(labels, (chains, length))

    def run():
        emissions.grad = None
        crf.zero_grad()
        (-crf(emissions, gold, reduction="sum")).backward()

    return run


def torch_struct(length: int, chains: int, labels: int):
    from torch_struct import LinearChainCRF

    torch.manual_seed(1)
    emissions = torch.randn(chains, length, labels, requires_grad=True)
    transitions = torch.randn(labels, labels, requires_grad=True)
    gold = torch.randint(labels, (chains, length))

    def run():
        emissions.grad = None
        transitions.grad = None
        # log potentials [b, t - 1, to, from]; the first emission joins the first step.
        potentials = emissions[:, 1:, :, None] + transitions.t()
        first = torch.zeros_like(potentials)
        first[:, 0] = emissions[:, 0, None, :]
        potentials = potentials + first
        score = emissions.gather(2, gold[..., None]).sum() + transitions[gold[:, :-1], gold[:, 1:]].sum()
        (LinearChainCRF(potentials).partition.sum() - score).backward()

    return run


PEERS = {"pytorch-crf": pytorch_crf, "torch-struct": torch_struct}


def peers(case, budget_secs: float, threads: list[int]) -> dict[str, float | None]:
    """The better of the thread counts: small operations are often faster on one."""
    found = {}
    for name, make in PEERS.items():
        try:
            run = make(*case)
            times = []
            for count in threads:
                torch.set_num_threads(count)
                times.append(median_ms(run, budget_secs))
            found[name] = min(times)
        except (ImportError, RuntimeError, MemoryError) as error:
            print(f"  {name} at {case}: {type(error).__name__}: {str(error).splitlines()[0]}")
            found[name] = None
    return found


def ours(case, device: str) -> dict[str, float]:
    """Milliseconds by implementation, from one case of the Rust bench."""
    name = "T{}_B{}_L{}".format(*case)
    wanted = {"flex": "cpu", "wgpu": "wgsl"}[device]
    result = subprocess.run(
        ["cargo", "bench", "--bench", "crf", "--", f"crf {wanted} on {device}/{name}"],
        cwd=ROOT,
        env={**os.environ, "CRF_DEVICES": device},
        capture_output=True,
        text=True,
        check=True,
    )
    units = {"ns": 1e-6, "µs": 1e-3, "us": 1e-3, "ms": 1.0, "s": 1e3}
    times = re.findall(r"time:\s+\[\S+ \S+ (\S+) (\S+) \S+ \S+\]", result.stdout)
    return {wanted: float(times[0][0]) * units[times[0][1]]} if times else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side-by-side", action="store_true", help="also run the Rust bench, case by case")
    parser.add_argument(
        "--threads",
        type=lambda text: [int(count) for count in text.split(",")],
        default=sorted({1, os.cpu_count() or 1}),
        help="torch thread counts, the better counts (default: 1 and all cores)",
    )
    parser.add_argument("--secs", type=float, default=2.0, help="time for each measurement")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, best of {arguments.threads} threads; ms for loss + gradient")
    columns = list(PEERS) + (["cpu", "wgsl", "cpu gain", "wgsl gain"] if arguments.side_by_side else [])
    print("| case | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for case in CASES:
        row = {}
        if arguments.side_by_side:
            row |= ours(case, "flex") | ours(case, "wgpu")
        row |= peers(case, arguments.secs, arguments.threads)
        timed = [row[name] for name in PEERS if row[name] is not None]
        for name in ("cpu", "wgsl"):
            if row.get(name) and timed:
                row[f"{name} gain"] = min(timed) / row[name]
        cells = [
            "-" if row.get(column) is None else f"{row[column]:.1f}x" if column.endswith("gain") else f"{row[column]:.3g}"
            for column in columns
        ]
        print("| T{} B{} L{} | ".format(*case) + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
