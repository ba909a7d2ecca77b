#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inputs of the fuzz targets between libFuzzer's directories and the repository, which has a file
for each target with an input in each line: a name and the bytes in hexadecimal.

  inputs.py pack DIRECTORY FILE     the files of a directory become a file of lines
  inputs.py unpack DIRECTORY FILE...  the lines of files become files in a directory
  inputs.py line NAME INPUT         prints the line for an input that libFuzzer has left
"""
import hashlib
import pathlib
import sys


def name_of(data):
    return hashlib.sha1(data).hexdigest()[:12]


def pack(directory, file):
    inputs = {path.read_bytes() for path in pathlib.Path(directory).iterdir()} - {b""}
    ordered = sorted(inputs, key=lambda data: (len(data), data))
    pathlib.Path(file).write_text("".join(f"{name_of(data)} {data.hex()}\n" for data in ordered))


def unpack(directory, *files):
    for file in files:
        for line in pathlib.Path(file).read_text().splitlines():
            if line and not line.startswith("#"):
                data = bytes.fromhex(line.split()[1])
                (pathlib.Path(directory) / name_of(data)).write_bytes(data)


def line(name, file):
    print(name, pathlib.Path(file).read_bytes().hex())


def main():
    commands = {"pack": pack, "unpack": unpack, "line": line}
    if len(sys.argv) < 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])


main()
