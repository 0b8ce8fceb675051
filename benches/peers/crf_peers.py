#!/usr/bin/env python3
"""Times loss and gradient of a linear-chain CRF in other people's libraries, on the cases of `demotic bench`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch pytorch-crf torch-struct
    /tmp/peers/bin/python benches/peers/crf_peers.py                          # the peers alone, on the processor
    /tmp/peers/bin/python benches/peers/crf_peers.py --device cpu,cuda        # and on CUDA, column beside column
    /tmp/peers/bin/python benches/peers/crf_peers.py --side-by-side           # and ours, case by case in the same minute
    /tmp/peers/bin/python benches/peers/crf_peers.py --side-by-side --ours-on wgpu:1 --demotic bin/demotic    # a built program: no toolchain

Medians over repeats after a warm-up, emissions and transitions both requiring gradients, every library's loss summed over
chains; on CUDA each repeat ends when the device is done. Side by side runs `demotic bench` on each case right before that case's
peers, so that both see the same machine: on flex, and on the device that --ours-on names, the implementation that `demotic bench`
lists first there (`cpu` on flex, `wgsl` on WGSL devices, `reference` elsewhere; the column says which). Gains: the fastest peer on the
processor over ours; `over cuda`: the fastest on CUDA over ours, which says something where both ran on the same card.
"""

import argparse
import statistics
import time
import warnings
from pathlib import Path

import torch

import ours

# (T positions, B chains, L labels): demotic_crf::cases::SPEED.
CASES = [(16, 1024, 8), (32, 1024, 8), (64, 2048, 4), (64, 256, 16), (4096, 4, 8)]
warnings.filterwarnings("ignore", category=UserWarning, module="torch_struct")


def median_ms(run, synchronise, budget_secs: float) -> float:
    """Median wall time of `run` in milliseconds over about `budget_secs`, after one warm-up (once, where one run takes longer)."""
    run()
    synchronise()
    times = []
    end = time.perf_counter() + budget_secs
    while not times or (time.perf_counter() < end and len(times) < 50):
        start = time.perf_counter()
        run()
        synchronise()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def pytorch_crf(length: int, chains: int, labels: int, device: str):
    from torchcrf import CRF

    torch.manual_seed(1)
    crf = CRF(labels, batch_first=True).to(device)
    emissions = torch.randn(chains, length, labels, device=device, requires_grad=True)
    gold = torch.randint(labels, (chains, length), device=device)

    def run():
        emissions.grad = None
        crf.zero_grad()
        (-crf(emissions, gold, reduction="sum")).backward()

    return run


def torch_struct(length: int, chains: int, labels: int, device: str):
    from torch_struct import LinearChainCRF

    torch.manual_seed(1)
    emissions = torch.randn(chains, length, labels, device=device, requires_grad=True)
    transitions = torch.randn(labels, labels, device=device, requires_grad=True)
    gold = torch.randint(labels, (chains, length), device=device)

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


def column(peer: str, device: str) -> str:
    return peer if device == "cpu" else f"{peer} {device}"


def peers(case, device: str, budget_secs: float, threads: list[int]) -> dict[str, float]:
    """Milliseconds by column. On the processor the better of the thread counts: small operations are often faster on one."""
    synchronise = torch.cuda.synchronize if device == "cuda" else lambda: None
    found = {}
    for name, make in PEERS.items():
        try:
            run = make(*case, device)
            times = []
            for count in threads if device == "cpu" else threads[:1]:
                torch.set_num_threads(count)
                times.append(median_ms(run, synchronise, budget_secs))
            found[column(name, device)] = min(times)
        except (ImportError, RuntimeError, MemoryError) as error:
            print(f"  {name} on {device} at {case}: {type(error).__name__}: {str(error).splitlines()[0]}")
    return found


def case_name(case) -> str:
    return "T{}_B{}_L{}".format(*case)


class Implementation:
    """Our first implementation on one device."""

    def __init__(self, demotic: Path, device: str, cases: list[str]):
        self.demotic, self.device = demotic, device
        # Hardly timed: what the device lists, the chosen implementation first.
        rows = ours.crf_rows(demotic, device, cases, 0.001)
        implementation = rows[0]["implementation"] if rows else "nothing"
        self.column = f"{implementation} {device}"
        self.labels = {row["case"]: row["label"] for row in rows if row["implementation"] == implementation}

    def ms(self, case: str, secs: float) -> dict[str, float]:
        """Milliseconds by column; nothing where the implementation does not take the case."""
        rows = ours.crf_rows(self.demotic, self.device, [self.labels[case]], secs) if case in self.labels else []
        return {self.column: 1e3 * row["median_secs"] for row in rows}


def gains(row: dict[str, float], our_columns: list[str]) -> dict[str, float]:
    """How many times faster ours are than the fastest peer."""
    found = {}
    for ours_in in our_columns:
        for device, name in [("cpu", f"{ours_in} gain"), ("cuda", f"{ours_in} over cuda")]:
            timed = [row[column(peer, device)] for peer in PEERS if column(peer, device) in row]
            if timed and ours_in in row:
                found[name] = min(timed) / row[ours_in]
    return found


def usable(asked: list[str]) -> list[str]:
    """The devices that this torch has; says which it has not."""
    devices = []
    for device in asked:
        if device == "cuda" and not torch.cuda.is_available():
            print(f"cuda: passed over, torch {torch.__version__} finds no CUDA device here")
        else:
            devices.append(device)
    return devices


def one_of_devices(text: str) -> list[str]:
    devices = text.split(",")
    if not set(devices) <= {"cpu", "cuda"}:
        raise argparse.ArgumentTypeError(f"expected cpu, cuda or cpu,cuda; got `{text}`")
    return list(dict.fromkeys(devices))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=one_of_devices, default=["cpu"], metavar="cpu|cuda|cpu,cuda", help="where the peers run (default cpu)")
    parser.add_argument("--side-by-side", action="store_true", help="also time ours, case by case")
    parser.add_argument("--ours-on", default="wgpu", help="our device beside flex, as `demotic devices` names it (default wgpu); flex: that alone")
    parser.add_argument("--demotic", metavar="BINARY", help="the built program, instead of building it with cargo")
    parser.add_argument("--only", choices=[case_name(case) for case in CASES], help="one case")
    parser.add_argument("--threads", type=ours.whole_numbers, default=ours.THREADS, help="torch thread counts, the better counts (default: 1 and all cores)")
    parser.add_argument("--secs", type=float, default=2.0, help="time for each measurement")
    parser.add_argument("--json", metavar="FILE", help="leave all figures there too")
    arguments = parser.parse_args()
    devices = usable(arguments.device)
    named = [torch.cuda.get_device_name() if device == "cuda" else device for device in devices]
    print(f"torch {torch.__version__} on {', '.join(named) or 'nothing'}, best of {arguments.threads} threads; ms for loss + gradient; load {ours.load()}")
    columns = [column(peer, device) for device in devices for peer in PEERS]
    cases = [case for case in CASES if arguments.only in (None, case_name(case))]
    implementations = []
    if arguments.side_by_side:
        demotic = ours.binary(arguments.demotic)
        implementations = [Implementation(demotic, device, [case_name(case) for case in cases]) for device in dict.fromkeys(("flex", arguments.ours_on))]
        our_columns = [one.column for one in implementations]
        columns += [*our_columns, *(f"{name} gain" for name in our_columns if "cpu" in devices)]
        columns += [f"{name} over cuda" for name in our_columns[1:] if "cuda" in devices]
    if not columns:
        return
    left = {"torch": torch.__version__, "cuda": torch.cuda.get_device_name() if "cuda" in devices else None, "load": ours.load(), "cases": []}
    print("\n| case | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for case in cases:
        row = {}
        for one in implementations:
            row |= one.ms(case_name(case), arguments.secs)
        for device in devices:
            row |= peers(case, device, arguments.secs, arguments.threads)
        ratios = gains(row, [one.column for one in implementations])
        cells = [f"{ratios[name]:.1f}x" if name in ratios else f"{row[name]:.3g}" if name in row else "-" for name in columns]
        print(f"| {case_name(case).replace('_', ' ')} | " + " | ".join(cells) + " |", flush=True)
        left["cases"].append({"case": case_name(case), "ms": row, "gains": {name: ratios[name] for name in columns if name in ratios}})
        ours.leave(arguments.json, left)


if __name__ == "__main__":
    main()
