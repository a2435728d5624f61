#!/usr/bin/env python3
"""Prints a table of photos: the labels that a running rekognition-local gives them, and how long it takes.

Needs the PyPI package boto3:
    AWS_ENDPOINT_URL_REKOGNITION=http://127.0.0.1:4567 photos.py PROCESS_ID PHOTO...
"""

import statistics
import sys
import time
from pathlib import Path

import boto3

RUNS = 20


def peak_memory(process_id):
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return f"{int(line.split()[1]) / 1000:.0f} MB"


def name(label):
    things = len(label["Instances"])
    return f"{label['Name']} {label['Confidence']:.0f}" + (f" ({things} ×)" if things > 1 else "")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    process_id, *photos = sys.argv[1:]
    client = boto3.client(
        "rekognition", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    print("| photo | labels, in percent | p50 | peak memory |\n|---|---|---|---|")
    for photo in photos:
        image = {"Bytes": Path(photo).read_bytes()}
        times = []
        for _ in range(RUNS):
            started = time.perf_counter()
            response = client.detect_labels(Image=image)
            times.append(time.perf_counter() - started)
        labels = ", ".join(map(name, response["Labels"])) or "none"
        milliseconds = 1000 * statistics.median(times)
        print(f"| `{Path(photo).name}` | {labels} | {milliseconds:.0f} ms | {peak_memory(process_id)} |", flush=True)


if __name__ == "__main__":
    main()
