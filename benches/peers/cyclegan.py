#!/usr/bin/env python3
"""CycleGAN in PyTorch on the same pictures and split, for as many processor seconds of one core, scored by the same program.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch pillow
    /tmp/peers/bin/python benches/peers/cyclegan.py --styles openmoji-line openmoji --out /tmp/cyclegan

Pictures come from `demotic data export`, figures from `demotic evaluate --pictures`. Two U-Nets of 1.2 million parameters, two patch
discriminators, least-squares loss, cycle 10, identity 5, a pool of 50 pictures, batches of 16, Adam at 2e-4 with betas .5 and
.999, constant for half of the time and then falling to zero: as Zhu, Park, Isola, Efros, ICCV 2017, with networks that fit 32 px.
No pairs are used: the two styles are shuffled apart from each other.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import ours

BATCH = 16
POOL = 50
CYCLE = 10.0
IDENTITY = 5.0
RATE = 2e-4


def down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.InstanceNorm2d(outputs, affine=True), nn.LeakyReLU(0.2))


def up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.InstanceNorm2d(outputs, affine=True), nn.ReLU())


class UNet(nn.Module):
    """32, 16, 8 and 4 px with 16, 48, 96 and 192 channels; what each level of the encoder saw is joined to the decoder's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1), nn.LeakyReLU(0.2))
        self.down = nn.ModuleList([down(16, 48), down(48, 96), down(96, 192)])
        self.middle = nn.Sequential(nn.Conv2d(192, 192, 3, 1, 1, bias=False), nn.InstanceNorm2d(192, affine=True), nn.ReLU())
        self.up = nn.ModuleList([up(192, 96), up(192, 48), up(96, 16)])
        self.out = nn.Conv2d(32, 3, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [self.first(x)]
        for level in self.down:
            seen.append(level(seen[-1]))
        drawn = seen.pop()
        drawn = drawn + self.middle(drawn)
        for level in self.up:
            drawn = torch.cat([level(drawn), seen.pop()], 1)
        return torch.tanh(self.out(drawn))


def discriminator() -> nn.Sequential:
    """Sees patches of 22 px."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.InstanceNorm2d(128, affine=True), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(128, 128, 3, 1, 1, bias=False), nn.InstanceNorm2d(128, affine=True), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(128, 1, 3, 1, 1),
    )  # fmt: skip


class Pool:
    """Earlier translations: half of what a discriminator sees, each replaced once it is shown."""

    def __init__(self, draws: random.Random) -> None:
        self.kept: list[torch.Tensor] = []
        self.draws = draws

    def exchange(self, fakes: torch.Tensor) -> torch.Tensor:
        shown = []
        for fake in fakes:
            if len(self.kept) < POOL:
                self.kept.append(fake)
                shown.append(fake)
            elif self.draws.random() < 0.5:
                place = self.draws.randrange(POOL)
                shown.append(self.kept[place])
                self.kept[place] = fake
            else:
                shown.append(fake)
        return torch.stack(shown)


def pictures(folder: Path) -> tuple[list[str], torch.Tensor]:
    """Names and pictures of a folder, `[n, 3, h, w]` in [-1, 1]."""
    files = sorted(folder.glob("*.png"))
    values = [torch.frombuffer(bytearray(Image.open(file).convert("RGB").tobytes()), dtype=torch.uint8) for file in files]
    side = Image.open(files[0]).size[0]
    planes = torch.stack(values).view(-1, side, side, 3).permute(0, 3, 1, 2).float() / 127.5 - 1
    return [file.name for file in files], planes.contiguous()


def batches(of: torch.Tensor, draws: torch.Generator):
    """Batches for ever, shuffled anew each time round, half of the pictures mirrored."""
    while True:
        for chosen in torch.randperm(len(of), generator=draws).split(BATCH):
            if len(chosen) == BATCH:
                batch = of[chosen]
                mirrored = torch.rand(BATCH, 1, 1, 1, generator=draws) < 0.5
                yield torch.where(mirrored, batch.flip(3), batch)


def weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def train(a: torch.Tensor, b: torch.Tensor, seed: int, secs: float) -> tuple[UNet, UNet, int]:
    """Translators there and back, and how many steps they were trained."""
    torch.manual_seed(seed)
    draws = torch.Generator().manual_seed(seed)
    pools = [Pool(random.Random(seed)), Pool(random.Random(seed + 1))]
    there, back, d_a, d_b = UNet(), UNet(), discriminator(), discriminator()
    for module in (there, back, d_a, d_b):
        for p in module.parameters():
            if p.dim() == 4:
                nn.init.normal_(p, 0, 0.02)
    print(f"generators {weights(there)} parameters each, discriminators {weights(d_a)}")
    generators = torch.optim.Adam([*there.parameters(), *back.parameters()], RATE, (0.5, 0.999))
    discriminators = torch.optim.Adam([*d_a.parameters(), *d_b.parameters()], RATE, (0.5, 0.999))
    started, step, told = time.process_time(), 0, 0.0
    for real_a, real_b in zip(batches(a, draws), batches(b, draws)):
        spent = time.process_time() - started
        if spent >= secs:
            break
        rate = RATE * min(1.0, 2 * (1 - spent / secs))
        for optimiser in (generators, discriminators):
            optimiser.param_groups[0]["lr"] = rate
        d_a.requires_grad_(False)
        d_b.requires_grad_(False)
        fake_b, fake_a = there(real_a), back(real_b)
        adversarial = (d_b(fake_b) - 1).square().mean() + (d_a(fake_a) - 1).square().mean()
        cycle = F.l1_loss(back(fake_b), real_a) + F.l1_loss(there(fake_a), real_b)
        identity = F.l1_loss(back(real_a), real_a) + F.l1_loss(there(real_b), real_b)
        generators.zero_grad()
        (adversarial + CYCLE * cycle + IDENTITY * identity).backward()
        generators.step()
        d_a.requires_grad_(True)
        d_b.requires_grad_(True)
        shown_a, shown_b = pools[0].exchange(fake_a.detach()), pools[1].exchange(fake_b.detach())
        loss = sum(
            0.5 * ((d(real) - 1).square().mean() + d(shown).square().mean())
            for d, real, shown in ((d_a, real_a, shown_a), (d_b, real_b, shown_b))
        )
        discriminators.zero_grad()
        loss.backward()
        discriminators.step()
        step += 1
        if spent >= told:
            told += secs / 10
            print(f"step {step:>6}  {spent:>5.0f} s  cycle {cycle.item():.3f}  identity {identity.item():.3f}  d {loss.item():.3f}", flush=True)
    return there, back, step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--styles", nargs=2, default=["openmoji-line", "openmoji"], help="the two styles (default: line art, colour)")
    parser.add_argument("--data", default="emoji", help="as for `demotic train`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--secs", type=float, default=600, help="processor seconds of one core (default: 600)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write: new")
    parser.add_argument("--demotic", help="a built program; without it, cargo builds one")
    args = parser.parse_args()
    if args.out.exists():
        sys.exit(f"error: {args.out} is there already; give a new --out")
    # One core, and nothing else of torch's beside it.
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    demotic = ours.binary(args.demotic)
    exported, styles = args.out / "pictures", ",".join(args.styles)
    subprocess.run([demotic, "data", "export", args.data, "--styles", styles, "--size-px", "32", "--out", exported], check=True)
    [(_, a), (_, b)] = [pictures(exported / "train" / style) for style in args.styles]
    there, back, steps = train(a, b, args.seed, args.secs)
    for network, (source, target) in ((there, args.styles), (back, args.styles[::-1])):
        # Norms are of each picture alone: nothing differs between training and use.
        names, inputs = pictures(exported / "test" / source)
        folder = args.out / "translated" / source / target
        folder.mkdir(parents=True)
        with torch.no_grad():
            outputs = torch.cat([network(batch) for batch in inputs.split(64)])
        values = ((outputs + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()
        for name, value in zip(names, values):
            Image.fromarray(value.numpy()).save(folder / name)
    print(f"{steps} steps in {args.secs:.0f} processor seconds, seed {args.seed}")
    scores = args.out / "scores.json"
    words = ["evaluate", "--pictures", args.out / "translated", "--data", args.data, "--styles", styles, "--size-px", "32", "--json", scores]
    subprocess.run([demotic, *words], check=True)
    for direction in json.loads(scores.read_text())["directions"]:
        for method in ("model", "copy"):
            figures = [direction[method][name]["value"] for name in ("l1", "ssim", "perceptual", "kid")]
            name = "CycleGAN" if method == "model" else "copy"
            print(f"{direction['from']} -> {direction['to']}  {name:8}  L1 {figures[0]:.4f}  SSIM {figures[1]:.3f}  perceptual {figures[2]:.3f}  KID {figures[3]:.0f}")


if __name__ == "__main__":
    main()
