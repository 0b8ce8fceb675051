#!/usr/bin/env python3
"""Exported networks in ONNX Runtime, compared with the program itself: at most 1 of 255 apart.

    cargo test --release && VENV/bin/python tests/onnx.py --binary target/release/demotic --cases target/tmp/onnx

Needs onnxruntime, numpy and pillow. The graphs in --cases are left there by the tests of demotic-core, one for every kind
of generator; the weights in the program are exported here and compared with `demotic translate` on pictures of several
shapes. Exit code 0: all as it should be.
"""

import argparse
import json
import pathlib
import random
import struct
import subprocess
import tempfile

import numpy
import onnxruntime
from PIL import Image, ImageDraw

PICTURES = 20


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def arrays(file):
    """The arrays of a safetensors file."""
    data = file.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    found = {}
    for name, about in json.loads(data[8:8 + size]).items():
        begin, end = (8 + size + at for at in about["data_offsets"])
        kind = {"F32": numpy.float32, "I64": numpy.int64}[about["dtype"]]
        found[name] = numpy.frombuffer(data[begin:end], kind).reshape(about["shape"])
    return found


def session(file):
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def every_kind(cases):
    """Networks of every kind, on pictures of sides that are not alike."""
    files = sorted(cases.glob("*.onnx"))
    check(len(files) >= 7, f"no graphs in {cases}: run `cargo test --release` first")
    for file in files:
        case = arrays(file.with_suffix(".safetensors"))
        [drawn] = session(file).run(["translation"], {"picture": case["picture"], "style": case["style"]})
        apart = 127.5 * numpy.abs(drawn - case["translation"]).max()
        print(f"{file.stem}: {apart:.4f} of 255 apart, {list(drawn.shape)}")
        check(drawn.shape == case["translation"].shape and apart <= 1, f"{file.stem}: {apart} of 255")


def drawing(number, side):
    """An opaque picture whose longer side is `side`."""
    rng = random.Random(number)
    shorter = side if number % 3 == 0 else rng.randrange(side // 3, side)
    size = (side, shorter) if number % 2 else (shorter, side)
    picture = Image.new("RGB", size, (255, 255, 255) if number % 4 else (40, 90, 160))
    pen = ImageDraw.Draw(picture)
    for _ in range(4):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        reach = rng.randrange(4, side // 2)
        fill = tuple(rng.randrange(256) for _ in range(3)) if rng.random() < 0.6 else None
        pen.ellipse([x - reach, y - reach, x + reach, y + reach], fill=fill, outline=(0, 0, 0), width=2)
    return picture


def plain_colour(line):
    """The colour of a line of pixels where nine in ten are within 16 of it."""
    median = numpy.sort(line, 0)[len(line) // 2]
    has_it = (numpy.abs(line.astype(int) - median) <= 16).all(1)
    return median if 10 * has_it.sum() >= 9 * len(line) else None


def in_square(picture, side, fit, background):
    """The picture in the middle of a square, and the rest as `data.fit` has it; left and top. Opaque, its longer side `side`."""
    left, top = (side - picture.width) // 2, (side - picture.height) // 2
    if fit == "pad":
        square = Image.new("RGB", (side, side), background)
        square.paste(picture, (left, top))
        return numpy.asarray(square), left, top
    check(fit == "auto", f"no data.fit = {fit} here")
    around = ((top, side - top - picture.height), (left, side - left - picture.width), (0, 0))
    square = numpy.pad(numpy.asarray(picture), around, "symmetric")
    # Rows are what was cut off; a picture that is higher than wide is seen from its side.
    lying = square if picture.width == side else square.swapaxes(0, 1)
    start, length = (top, picture.height) if picture.width == side else (left, picture.width)
    edges = [(start, slice(0, start)), (start + length - 1, slice(start + length, side))]
    for colour, rest in [(plain_colour(lying[edge]), rest) for edge, rest in edges]:
        if colour is not None:
            lying[rest] = colour
    return square, left, top


def weights_in_the_program(binary, folder):
    def run(*arguments):
        subprocess.run([binary, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    run("export", "built-in", "--format", "onnx", "--out", "onnx")
    model = session(folder / "onnx/model.onnx")
    about = model.get_modelmeta().custom_metadata_map
    styles, side = json.loads(about["styles"]), int(about["size_px"])
    background = tuple(bytes.fromhex(about["background"][1:]))
    (folder / "in").mkdir()
    for number in range(PICTURES):
        drawing(number, side).save(folder / f"in/{number}.png")
    worst = 0
    for style in [1, 2, len(styles) - 1]:
        run("translate", "--to", styles[style], "--paper", "redraw", "--device", "flex", "--out", f"out-{style}", "in")
        for number in range(PICTURES):
            picture = Image.open(folder / f"in/{number}.png")
            square, left, top = in_square(picture, side, about["fit"], background)
            values = numpy.asarray(square, numpy.float32).transpose(2, 0, 1)[None] / numpy.float32(127.5) - 1
            [drawn] = model.run(None, {"picture": values, "style": numpy.array([style])})
            drawn = ((drawn[0].transpose(1, 2, 0) + 1) * 127.5).round().clip(0, 255)
            drawn = drawn[top:top + picture.height, left:left + picture.width]
            true = numpy.asarray(Image.open(folder / f"out-{style}/{number}.png").convert("RGB"), numpy.float32)
            worst = max(worst, numpy.abs(drawn - true).max())
    print(f"built-in: at most {worst:.0f} of 255 apart from `demotic translate`, {PICTURES} pictures in 3 styles")
    check(worst <= 1, f"{worst} of 255 apart")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--binary", type=pathlib.Path, default="target/release/demotic")
    arguments.add_argument("--cases", type=pathlib.Path, default="target/tmp/onnx")
    given = arguments.parse_args()
    every_kind(given.cases)
    with tempfile.TemporaryDirectory() as folder:
        weights_in_the_program(given.binary.resolve(), pathlib.Path(folder))


main()
