#!/usr/bin/env python3
"""Times one adversarial training step of the same networks in PyTorch, beside ours.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch
    /tmp/peers/bin/python benches/peers/train_peers.py                   # PyTorch alone: processor, and CUDA where there is one
    /tmp/peers/bin/python benches/peers/train_peers.py --check           # two steps on the same numbers: losses and gradient norms agree
    /tmp/peers/bin/python benches/peers/train_peers.py --side-by-side    # and ours, in alternation, with the ratio
    /tmp/peers/bin/python benches/peers/train_peers.py --side-by-side --ours-on wgpu:1 --demotic bin/demotic    # a built program: no toolchain

Ours is `demotic compare` on the recipes of configs/: settings, counts and times come from its JSON. `--check` needs a toolchain, or
`--bench BINARY`, the bench `train_step` as `cargo build --release --all-targets` leaves it in target/release/deps: it reads what that
bench writes with `DEMOTIC_BENCH_EXPORT=FOLDER`, a configuration each: the resolved settings, the weights, everything random in two
steps, and the figures that they came to.

The same: layers, initial shapes, the edge-aware filter that translations go through, losses (true pairs and the canvas where a recipe
has them), composites, batch, clipping by the norm of all gradients, Adam, moving average. Left out on this side, in PyTorch's favour:
making the batch (its pictures are on the device already) and planning the composites (a few plans are made before timing and used in
turn). Noise is drawn by torch on the device. Used at their best: fused Adam, `torch._foreach` for the average, oneDNN or cuDNN
(benchmark mode, TF32 off: ours is f32), denormal numbers as zeros. Tried are NCHW and channels-last memory and, on the processor, one
thread and all; the fastest is timed. Settings that are not here (`FIXED`) are refused, and so is another count of parameters.

The ratio: torch's median step over ours in each round; of the rounds the median, the range, and each.

The filter (`lay_in`): on the processor all lines walked at once from both ends, and back by the transpose, four times faster at 64 px than
by matrices; on CUDA a matrix of weights a line in batched products, a few launches in place of hundreds (CUDA was not timed).

The CRF: rows and columns stacked into one batch of chains, walked forward in scaled probability space with one batched matrix
product and a normalisation a position (`crf_nll`), autograd backward: about three times faster here than the log-sum-exp form that
pytorch-crf uses.
"""

import argparse
import itertools
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import ours

SLOPE = 0.2
PATCH_STRIDE = 4


# Layers, as in crates/demotic-core/src/model/layers.rs; parameter names are ours, so exported weights load by
# name.


class Conv(nn.Module):
    def __init__(self, channels_in, channels_out, kernel, gain=1.0):
        super().__init__()
        deviation = gain * math.sqrt(2 / ((1 + SLOPE**2) * channels_in * kernel**2))
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel, kernel) * deviation)
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)


def groups(channels):
    return channels // 8 if channels % 8 == 0 else 1


def leaky(x):
    return F.leaky_relu(x, SLOPE)


class Norm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x, _code=None):
        return leaky(F.group_norm(x, groups(x.shape[1]), self.scale, self.shift, 1e-5))


class AdaNorm(nn.Module):
    def __init__(self, style, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(style, 2 * channels) * math.sqrt(1 / style) * 0.5)
        self.bias = nn.Parameter(torch.zeros(2 * channels))

    def forward(self, x, code):
        scale, shift = torch.addmm(self.bias, code, self.weight)[:, :, None, None].chunk(2, 1)
        return leaky(torch.addcmul(shift, F.group_norm(x, groups(x.shape[1]), eps=1e-5), scale + 1))


class Residual(nn.Module):
    def __init__(self, channels, style=None):
        super().__init__()
        norm = (lambda: Norm(channels)) if style is None else (lambda: AdaNorm(style, channels))
        self.norms = nn.ModuleList([norm(), norm()])
        self.convs = nn.ModuleList([Conv(channels, channels, 3), Conv(channels, channels, 3, 0.3)])

    def forward(self, x, code=None):
        y = self.convs[0](self.norms[0](x, code))
        return x + self.convs[1](self.norms[1](y, code))


class UpStage(nn.Module):
    def __init__(self, style, channels_in, channels_out):
        super().__init__()
        self.norm = AdaNorm(style, channels_in)
        self.conv = Conv(channels_in, channels_out, 3)


def upsample(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Generator(nn.Module):
    def __init__(self, c, styles):
        super().__init__()
        doublings = c["latent_stride"].bit_length() - 1
        at = lambda i: max(c["channels"] >> i, c["channels_min"])  # noqa: E731
        width, style = c["channels"], c["style_dims"]
        self.stem = Conv(12, at(doublings - 1), 3)
        self.downs = nn.ModuleList(Conv(at(i + 1), at(i), 3) for i in reversed(range(doublings - 1)))
        self.encoder = nn.ModuleList(Residual(width) for _ in range(c["encoder_blocks"]))
        self.encoder_norm = Norm(width)
        self.to_posterior = Conv(width, 2 * c["latent_channels"], 3, 0.7)
        self.style = nn.Parameter(torch.randn(styles, style))
        self.from_latent = Conv(c["latent_channels"], width, 3)
        self.context = nn.ModuleList(Residual(width, style) for _ in range(c["context_blocks"]))
        self.decoder = nn.ModuleList(Residual(width, style) for _ in range(c["decoder_blocks"]))
        self.ups = nn.ModuleList(UpStage(style, at(i), at(i + 1)) for i in range(doublings))
        self.output_norm = AdaNorm(style, at(doublings))
        self.output = Conv(at(doublings), 3, 3, 0.7)
        self.filter = (c["filter_reach"], c["filter_edge"], c["filter_edge_fake"]) if c["filter"] == "on" else None

    def encode(self, pictures):
        x = self.stem(F.pixel_unshuffle(pictures, 2))
        for down in self.downs:
            x = F.avg_pool2d(down(leaky(x)), 2)
        for block in self.encoder:
            x = block(x)
        mean, log_var = self.to_posterior(self.encoder_norm(x)).chunk(2, 1)
        return mean, (log_var - 4).clamp(-10, 4)

    def decode(self, latent, styles):
        code = self.style[styles]
        x = self.from_latent(latent)
        if self.context:
            wide = F.avg_pool2d(x, 2)
            for block in self.context:
                wide = block(wide, code)
            x = x + upsample(wide)
        for block in self.decoder:
            x = block(x, code)
        for stage in self.ups:
            x = stage.conv(upsample(stage.norm(x, code)))
        return torch.tanh(self.output(self.output_norm(x, code)))

    def laid_in(self, pictures, decoded):
        return decoded if self.filter is None else lay_in(pictures, decoded, *self.filter)


# Times that rows and then columns are filtered.
FILTER_ROUNDS = 2


def lay_in(guide, fake, reach, edge, edge_fake):
    """The input and the change of it, averaged along edges, as ops/filter.rs does: `[b, c, h, w]`; edges are constants to autograd."""
    averaged = averaged_by_matrices if guide.is_cuda else averaged_by_walks
    with torch.no_grad():
        x, y, side = guide.detach(), fake.detach(), max(guide.shape[2:])
        costs = [
            edge * x.diff(dim=axis).abs().mean(1) + edge_fake * y.diff(dim=axis).abs().mean(1) + 1 / (reach * side) for axis in (3, 2)
        ]
    return (guide + averaged(fake - guide, *costs)).clamp(-1, 1)


def averaged_by_matrices(x, row_costs, column_costs):
    """Shares `exp(-|D_i - D_j|)` over their sums, `D` the costs from a line's start: a matrix a line, few operations."""
    b, c, h, w = x.shape

    def shares(costs):  # [b, lines, length - 1] -> [b * lines, length, length]
        places = F.pad(costs.cumsum(2), (1, 0)).flatten(0, 1)
        weights = (places[:, :, None] - places[:, None, :]).abs_().neg_().exp_()
        return weights.div_(weights.sum(2, keepdim=True))

    with torch.no_grad():
        rows, columns = shares(row_costs), shares(column_costs.transpose(1, 2))
    x = x.permute(0, 2, 3, 1)
    for _ in range(FILTER_ROUNDS):
        x = torch.bmm(rows, x.reshape(b * h, w, c)).view(b, h, w, c).transpose(1, 2)
        x = torch.bmm(columns, x.reshape(b * w, h, c)).view(b, w, h, c).transpose(1, 2)
    return x.permute(0, 3, 1, 2)


def walked(x, decays):
    """`sum_j w_ij x_j` along the first axis of `[length, c, b, lines]`, all lines at once, from both ends."""
    x = x.contiguous()
    ahead, behind = x.clone(), x.clone()
    down, up = ahead.unbind(0), behind.unbind(0)
    for t, decay in enumerate(decays):
        down[t + 1].addcmul_(down[t], decay)
    for t in reversed(range(len(decays))):
        up[t].addcmul_(up[t + 1], decays[t])
    return ahead.add_(behind).sub_(x)


class Walks(torch.autograd.Function):
    """Rows, then columns, twice; back by the transpose: `[w, c, b, h]` in and out."""

    @staticmethod
    def forward(ctx, x, row_decays, column_decays):
        ctx.lines = []
        for decays in (row_decays, column_decays):
            steps = decays.unbind(0)
            ones = torch.ones_like(decays[:1]).expand(len(steps) + 1, -1, -1, -1)
            ctx.lines.append((steps, walked(ones, steps).reciprocal_()))
        for _ in range(FILTER_ROUNDS):
            for steps, shares in ctx.lines:
                x = walked(x, steps).mul_(shares).permute(3, 1, 2, 0)
        return x

    @staticmethod
    def backward(ctx, x):
        for _ in range(FILTER_ROUNDS):
            for steps, shares in reversed(ctx.lines):
                x = walked(x.permute(3, 1, 2, 0) * shares, steps)
        return x, None, None


def averaged_by_walks(x, row_costs, column_costs):
    """The recursion of ours: work in proportion to the pixels, a small operation a pixel of a line."""
    rows, columns = row_costs.permute(2, 0, 1), column_costs.permute(1, 0, 2)
    decays = [costs.neg().exp_().unsqueeze(1).contiguous() for costs in (rows, columns)]  # [length - 1, 1, b, lines]
    return Walks.apply(x.permute(3, 1, 0, 2), *decays).permute(2, 1, 3, 0)


def crf_nll(emissions, labels, transitions):
    """Grid NLL a patch: `[b, l, h, h]`, `[b, h, h]`, `[2, l, l]` (rows, columns) -> `[b]`."""
    b, l, h, w = emissions.shape
    assert h == w, "rows and columns are walked together"
    # [t, 2, b*h, l]: rows run along the last axis of the grid, columns along the one before.
    e = torch.stack([emissions.permute(3, 0, 2, 1), emissions.permute(2, 0, 3, 1)], 1).reshape(w, 2, b * h, l)
    y = torch.stack([labels.permute(2, 0, 1), labels.permute(1, 0, 2)], 1).reshape(w, 2, b * h)
    # log softmax first: every position's scores are at most 0, and the products of exp stay in range.
    e = F.log_softmax(e, -1)
    x, m = e.exp(), transitions.exp()
    weight = x[0]
    log_z = 0.0
    for t in range(1, w):
        q = torch.bmm(weight, m) * x[t]
        z = q.sum(-1, keepdim=True)
        log_z = log_z + z.log()
        weight = q / z
    gold = e.gather(-1, y[..., None])[..., 0].sum(0)
    direction = torch.arange(2, device=e.device)[None, :, None]
    gold = gold + transitions[direction, y[:-1], y[1:]].sum(0)
    nll = log_z[..., 0] - gold  # [2, b*h]
    return nll.view(2, b, h).sum((0, 2)) * (0.5 / (h * w))


class Crf(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.row = nn.Parameter(torch.zeros(labels, labels))
        self.column = nn.Parameter(torch.zeros(labels, labels))


class Discriminator(nn.Module):
    def __init__(self, c, styles):
        super().__init__()
        width = c["channels"]
        self.a_max = c["a_max"]
        self.stem = Conv(12, width, 3)
        self.fine = Conv(width, width, 3)
        self.coarse = Conv(width, 2 * width, 3)
        self.mix = Conv(2 * width, 2 * width, 1)
        self.emissions = Conv(2 * width, 1 + styles, 1, 0.5)
        self.crf = Crf(1 + styles)

    def forward(self, pictures):
        x = leaky(self.stem(F.pixel_unshuffle(pictures, 2)))
        x = F.avg_pool2d(leaky(self.fine(x)), 2)
        return self.emissions(leaky(self.mix(leaky(self.coarse(x)))))

    def nll(self, emissions, labels):
        raw = torch.stack([self.crf.row, self.crf.column])
        return crf_nll(emissions, labels, self.a_max * torch.tanh(raw / self.a_max))


# The average's half-life is at most this share of the steps done.
AVERAGE_RAMP = 0.25


class Trainer:
    """One training step, as `Trainer::advance` does it."""

    def __init__(self, config, styles, device, channels_last):
        self.config, self.styles, self.device = config, styles, device
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        g, d, t = (config[section] for section in ("generator", "discriminator", "train"))
        torch.manual_seed(0)
        self.generator = Generator(g, styles).to(device, memory_format=self.format)
        self.discriminator = Discriminator(d, styles).to(device, memory_format=self.format)
        self.average = [p.detach().clone() for p in self.generator.parameters()]
        self.steps = 0
        betas = {"betas": (t["beta_1"], t["beta_2"]), "eps": 1e-8, "fused": True}
        self.adam_generator = torch.optim.Adam(self.generator.parameters(), lr=t["generator_rate"], **betas)
        transitions = list(self.discriminator.crf.parameters())
        trunk = [p for name, p in self.discriminator.named_parameters() if not name.startswith("crf.")]
        rate = t["discriminator_rate"]
        self.adam_discriminator = torch.optim.Adam(
            [{"params": trunk, "lr": rate}, {"params": transitions, "lr": rate * t["transition_rate_factor"]}], **betas
        )

    def update(self, network, optimiser, loss):
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), self.config["train"]["gradient_norm_max"] or math.inf)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return norm

    def step(self, inputs):
        l = self.config["loss"]
        x, real = inputs["sources"], inputs["reals"]
        n, _, size, _ = x.shape
        grid = size // PATCH_STRIDE
        source_styles, real_styles, targets = inputs["source_styles"], inputs["real_styles"], inputs["targets"]
        noise = lambda name, like: inputs[name] if name in inputs else torch.randn_like(like)  # noqa: E731

        mean, log_var = self.generator.encode(x)
        latent = mean + (log_var * 0.5).exp() * noise("latent_noise", mean)
        decoded = self.generator.decode(torch.cat([latent, latent]), torch.cat([source_styles, targets]))
        again, fake = decoded[:n], self.generator.laid_in(x, decoded[n:])
        seen = fake if l.get("cycle_through", False) else fake.detach()
        seen = seen + noise("cycle_noise", fake) * l["cycle_noise"] if l["cycle_noise"] > 0 else seen
        mean_back, log_var_back = self.generator.encode(seen)
        back = mean_back + (log_var_back * 0.5).exp() * noise("returned_noise", mean_back)
        cycled = self.generator.decode(back, source_styles)

        pool = torch.cat([real, fake.detach()])
        outside = pool[inputs["outside"]]
        mixed = outside + (pool[inputs["inside"]] - outside) * inputs["mask"]
        pure = torch.cat([1 + real_styles, torch.zeros_like(real_styles)])[:, None, None].expand(-1, grid, grid)
        labels = torch.cat([pure, inputs["labels"]])
        emissions = self.discriminator(torch.cat([pool, mixed]))
        nll = self.discriminator.nll(emissions, labels)
        d_norm = self.update(self.discriminator, self.adam_discriminator, nll.mean())

        reconstruction = (again - x).abs().mean()
        kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum((1, 2, 3)).mean() / (3 * size * size)
        cycle = (cycled - x).abs().mean()
        self.discriminator.requires_grad_(False)
        wanted = (1 + targets)[:, None, None].expand(-1, grid, grid)
        adversarial = self.discriminator.nll(self.discriminator(fake), wanted).mean()
        self.discriminator.requires_grad_(True)
        paired = torch.zeros([], device=x.device)
        if "truths" in inputs:
            rows = inputs["truth_rows"]
            paired = (fake[rows] - inputs["truths"]).abs().mean() * (len(rows) / n)
        total = l["reconstruction"] * reconstruction + l["kl"] * kl + l["cycle"] * cycle + l["adversarial"] * adversarial
        total = total + l["paired"] * paired
        if "canvas" in inputs:
            total = total + l["canvas"] * ((fake - x) * inputs["canvas"]).abs().mean()
        g_norm = self.update(self.generator, self.adam_generator, total)
        half_life = min(self.config["train"]["ema_half_life_steps"], AVERAGE_RAMP * self.steps)
        decay = 0.5 ** (1 / half_life) if half_life > 0 else 0
        torch._foreach_lerp_(self.average, [p.detach() for p in self.generator.parameters()], 1 - decay)
        self.steps += 1
        parts = [part.mean() for part in nll.detach().chunk(3)]
        figures = [*parts, reconstruction, kl, cycle, adversarial, paired, d_norm, g_norm]
        return torch.stack([figure.detach() for figure in figures])


def made_up_inputs(config, styles, device, memory_format, seed):
    """A batch and a composite plan; the composites' proportions are ours at full warm-up."""
    source = torch.Generator().manual_seed(seed)
    n, size = config["train"]["batch"], config["data"]["size_px"]
    grid = size // PATCH_STRIDE
    integers = lambda high, *shape: torch.randint(high, shape, generator=source)  # noqa: E731
    real_styles = torch.arange(n) % styles
    cells = (torch.rand(n, grid, grid, generator=source) < 0.5).float()
    mixed = torch.rand(n, generator=source) < config["loss"]["composite_prob"]
    inside = integers(2 * n, n)
    outside = torch.where(mixed, integers(2 * n, n), inside)
    label = torch.cat([1 + real_styles, torch.zeros(n, dtype=torch.long)])
    labels = torch.where(cells.bool(), label[inside][:, None, None], label[outside][:, None, None])
    # Of flat squares, as drawings are: across noise the filter's weights would be denormal numbers.
    squares = lambda: torch.rand(n, 3, size // 8, size // 8, generator=source) * 2 - 1  # noqa: E731
    pictures = lambda: F.interpolate(squares(), scale_factor=8)  # noqa: E731
    inputs = {
        "sources": pictures(),
        "reals": pictures(),
        "source_styles": torch.arange(n) % styles,
        "real_styles": real_styles,
        "targets": (torch.arange(n) + 1) % styles,
        "inside": inside,
        "outside": outside,
        "mask": F.interpolate(cells[:, None], scale_factor=PATCH_STRIDE),
        "labels": labels,
    }
    rows = round(n * {"none": 0, "all": 1}.get(config["train"]["pairs"], config["train"]["pairs"]))
    if rows:
        inputs |= {"truths": pictures()[:rows], "truth_rows": torch.arange(rows)}
    if config["loss"].get("canvas", 0) > 0:
        inputs["canvas"] = (torch.rand(n, 1, size, size, generator=source) < 0.5).float()
    move = lambda v: v.to(device, memory_format=memory_format) if v.dim() == 4 else v.to(device)  # noqa: E731
    return {name: move(value) for name, value in inputs.items()}


def synchronise(device):
    if device == "cuda":
        torch.cuda.synchronize()


class Timing:
    """A trainer ready to be timed on one device: the faster memory format and thread count after a short trial of each."""

    def __init__(self, config, styles, device, thread_counts, secs):
        best = math.inf
        for channels_last in (False, True):
            trainer = Trainer(config, styles, device, channels_last)
            batches = [made_up_inputs(config, styles, device, trainer.format, seed) for seed in range(4)]
            layout = "channels-last" if channels_last else "NCHW"
            for threads in thread_counts if device == "cpu" else thread_counts[-1:]:
                candidate = (trainer, itertools.cycle(batches), threads)
                middle = statistics.median(self.measure(candidate, secs, 1))
                way = f"{layout}, {threads} thread{'s' * (threads > 1)}" if device == "cpu" else layout
                print(f"  torch {device} {way}: {1e3 * middle:.1f} ms", file=sys.stderr)
                if middle < best:
                    best, self.candidate, self.way = middle, candidate, way
        self.device = device

    @staticmethod
    def measure(candidate, secs, steps_min=5):
        trainer, batches, threads = candidate
        torch.set_num_threads(threads)
        device = trainer.device
        for _ in range(2):
            trainer.step(next(batches))
        synchronise(device)
        times = []
        end = time.perf_counter() + secs
        while len(times) < steps_min or time.perf_counter() < end:
            start = time.perf_counter()
            trainer.step(next(batches))
            synchronise(device)
            times.append(time.perf_counter() - start)
        return times

    def again(self, secs):
        return [1e3 * t for t in self.measure(self.candidate, secs)]


def exported(bench):
    """`{configuration: (about, tensors)}`, written by our bench on Flex."""
    with tempfile.TemporaryDirectory() as folder:
        ours.exported(folder, bench)
        return {path.stem: safetensors(path.read_bytes()) for path in sorted(Path(folder).glob("*.safetensors"))}


def safetensors(file):
    """`(what the file says about itself, tensors by name)`."""
    length = int.from_bytes(file[:8], "little")
    header, data = json.loads(file[8 : 8 + length]), bytearray(file[8 + length :])
    about = json.loads(header.pop("__metadata__")["demotic"])
    types = {"F32": torch.float32, "I32": torch.int32}
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        tensors[name] = torch.frombuffer(data[start:end], dtype=types[entry["dtype"]]).reshape(entry["shape"])
    return about, tensors


def check(about, tensors):
    """Our weights, our random numbers, two steps here: prints both columns, returns whether they agree."""
    trainer = Trainer(about["exported"], about["styles"], "cpu", False)
    part = lambda prefix: {  # noqa: E731
        name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
    }
    trainer.generator.load_state_dict(part("generator."))
    trainer.discriminator.load_state_dict(part("discriminator."))
    agree = filters_agree()
    for step, expected in enumerate(about["figures"]):
        inputs = {name: value.long() if name in WHOLE else value for name, value in part(f"input{step}.").items()}
        for (name, right), got in zip(expected, trainer.step(inputs).tolist(), strict=True):
            difference = abs(right - got) / max(abs(right), abs(got), 1e-6)
            agree &= difference < TOLERANCE[step]
            print(f"  step {step}  {name:<18} {right:>12.6f} {got:>12.6f}   {difference:.1e}")
    return agree


def filters_agree():
    """Whether both forms of the filter give the same pictures and gradients."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 16, 24, generator=source, requires_grad=True)
    costs = [torch.rand(2, *lines, generator=source) for lines in [(16, 23), (15, 24)]]
    up = torch.randn(2, 3, 16, 24, generator=source)
    values, gradients = zip(*[(y, *torch.autograd.grad(y, x, up)) for y in (form(x, *costs) for form in FILTERS)], strict=True)
    apart = max(float((first - second).detach().abs().max()) for first, second in (values, gradients))
    print(f"  the filter's two forms are {apart:.1e} apart")
    return apart < 1e-5


FILTERS = (averaged_by_matrices, averaged_by_walks)
# Inputs that are whole numbers.
WHOLE = {"source_styles", "real_styles", "targets", "inside", "outside", "labels", "truth_rows"}
# Relative, of the first step and of the one after the first update: Adam's first step is rate *
# sign(gradient) nearly, which turns rounding of a gradient near zero into a full step of that weight.
TOLERANCE = (1e-4, 1e-3)


def counts(config, styles):
    return [sum(p.numel() for p in network(config[key], styles).parameters()) for network, key in NETWORKS]


NETWORKS = [(Generator, "generator"), (Discriminator, "discriminator")]
RECIPES = ["quickstart", "paired", "six-styles"]

# What this program does in one way alone. What is in neither this table nor the code above costs nothing
# (rates, intervals) or belongs to the choices that are not here.
FIXED = {
    "data.channels": "rgb",
    "generator.kind": "conv",
    "generator.style": "table",
    "discriminator.head": "crf",
    "discriminator.transitions": "learned",
    "discriminator.directions": "both",
    "discriminator.global": False,
    "discriminator.spectral_norm": False,
    "discriminator.augment_prob": 0,
    "loss.prior": 0,
    "loss.adversarial_kind": "likelihood",
    "loss.adversarial_patchwise": False,
    "loss.unary": 0,
    "loss.r1": 0,
    "train.accumulate": 1,
    "train.image_pool": 0,
}

# Settings that may be `auto`, and are then found by the pictures.
AUTOMATIC = [("discriminator", "augment_prob"), ("loss", "canvas")]


def not_here(config):
    """Every setting that this program does not have, in words."""
    found = []
    for key, here in FIXED.items():
        section, name = key.split(".")
        if (asked := config[section].get(name, here)) != here:
            found.append(f"{key} = {json.dumps(asked)} (here {json.dumps(here)})")
    return found


def spread(rounds):
    """Median, and tenth to ninth decile, of the steps of all rounds."""
    times = sorted(itertools.chain(*rounds))
    return f"{statistics.median(times):.1f} ({times[len(times) // 10]:.1f}-{times[-1 - len(times) // 10]:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare one step on the same numbers with ours, do not time")
    parser.add_argument("--side-by-side", action="store_true", help="time ours too, in alternation")
    parser.add_argument("--only", choices=RECIPES, help="one configuration, by name")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of both programs; may be repeated")
    parser.add_argument("--threads", type=ours.whole_numbers, default=ours.THREADS, help="of torch on the processor, the faster counts (default: 1 and all cores)")
    parser.add_argument("--secs", type=float, default=5.0, help="time for each of torch's measurements")
    parser.add_argument("--rounds", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--samples", type=int, default=20, help="timed steps of ours a round (default 20)")
    parser.add_argument("--ours-on", default="flex", help="our device when side by side (default flex)")
    parser.add_argument("--demotic", metavar="BINARY", help="the built program, instead of building it with cargo")
    parser.add_argument("--bench", metavar="BINARY", help="the built bench `train_step` for --check, instead of running it with cargo")
    parser.add_argument("--json", metavar="FILE", help="leave all figures there too")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.samples < 1:
        parser.error("--rounds and --samples: expected 1 or more")
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    named = [torch.cuda.get_device_name() if device == "cuda" else device for device in devices]
    print(f"torch {torch.__version__} on {', '.join(named)}; load {ours.load()}")
    names = [name for name in RECIPES if arguments.only in (None, name)]
    if arguments.check:
        wanted = {name: found for name, found in exported(arguments.bench).items() if name in names}
    else:
        demotic = ours.binary(arguments.demotic)
        # Three steps: for the settings and the counts.
        wanted = {name: (ours.compared(demotic, name, "flex", 3, arguments.set), {}) for name in names}
    refused = []
    for name, (about, _) in wanted.items():
        config = about["config"]
        automatic = [(section, key) for section, key in AUTOMATIC if config[section].get(key) == "auto"]
        # Where figures are checked, pictures that are varied would show in them.
        found = ours.automatic(demotic, name, arguments.set) if automatic and not arguments.check else {}
        for section, key in automatic:
            config[section][key] = found.get(key, 0)
        unlike = not_here(config)
        if not unlike:
            own, theirs = about["parameters"], counts(config, about["styles"])
            print(f"{name}: parameters ours {own}, torch {theirs}", flush=True)
            unlike = [f"parameters {own} (here {theirs})"] if own != theirs else []
        refused += [f"{name}: {', '.join(unlike)}"] if unlike else []
    if refused:
        parser.error("the two programs are not the same\n  " + "\n  ".join(refused))
    left = {
        "torch": torch.__version__,
        "cuda": torch.cuda.get_device_name() if "cuda" in devices else None,
        "ours_on": arguments.ours_on if arguments.side_by_side else None,
        "recipes": [],
    }
    if not arguments.check:
        print("\n| recipe | torch | ms a step: median (tenth to ninth decile) | ours | ms a step | our speed over torch's: median (range; each round) | load after |")
        print("|---" * 7 + "|", flush=True)
    good = True
    for name, (about, tensors) in wanted.items():
        config, styles = about["config"], about["styles"]
        if arguments.check:
            print(name)
            print(f"  {'':<8}{'figure':<18} {'ours':>12} {'torch':>12}   relative difference")
            good &= check(about, tensors)
            continue
        timings = [Timing(config, styles, device, arguments.threads, arguments.secs / 2) for device in devices]
        # Milliseconds of every step, a list a round.
        our_rounds, torch_rounds = [], {device: [] for device in devices}
        for _ in range(arguments.rounds):
            if arguments.side_by_side:
                device = arguments.ours_on
                compared = ours.compared(demotic, name, device, arguments.samples + 2, arguments.set)
                our_rounds.append([1e3 * secs for secs in compared["devices"][0]["step_secs"]])
            for timing in timings:
                torch_rounds[timing.device].append(timing.again(arguments.secs))
        load = ours.load()
        row = {"name": name, "config": config, "parameters": about["parameters"], "load": load, "ours_ms": our_rounds, "torch": []}
        for timing in timings:
            rounds = torch_rounds[timing.device]
            ratios = [statistics.median(theirs) / statistics.median(own) for theirs, own in zip(rounds, our_rounds)]
            cells = [name, f"{timing.device} {timing.way}", spread(rounds), "-", "-", "-", str(load)]
            if ratios:
                each = " ".join(f"{ratio:.2f}" for ratio in ratios)
                ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}; {each})"
                cells[3:6] = [arguments.ours_on, spread(our_rounds), ratio]
            print(f"| {' | '.join(cells)} |", flush=True)
            row["torch"].append({"device": timing.device, "way": timing.way, "ms": rounds, "our_speed_over_torchs": ratios})
        left["recipes"].append(row)
        ours.leave(arguments.json, left)
    if not good:
        sys.exit("the two programs are not the same")


if __name__ == "__main__":
    main()
