#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the operations of the job interface pinned to one CPU, repetitions of all of them
interleaved at random, and prints one table of medians: this library, stock libcrypto, and
what else switches stacks. The quick look while working; report measures everything."""

import argparse
import os

import measure


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    measure.add_arguments(parser)
    parser.add_argument(
        "--filter", default=".", metavar="RE", help="benchmarks to run; --filter=-RE: not to run"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=100_000,
        metavar="N",
        help="to park, for their memory; 0 leaves it out (default: %(default)s)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    os.sched_setaffinity(0, {arguments.cpu})
    context, rows = measure.measure_operations(
        arguments, arguments.filter, (1_000, 10_000, 100_000)
    )
    if arguments.jobs > 0:
        libraries = [name for name in (measure.OURS, measure.STOCK) if name in context]
        rows += measure.measure_parking(arguments, arguments.jobs, 1, libraries)

    machine = measure.describe_machine(
        arguments, context, f"{arguments.repetitions} repetitions"
    )
    for what, text in machine.items():
        print(f"{what + ':':<11} {text}")
    print()
    print(measure.format_rows(rows), end="")
    if arguments.json:
        measure.write_json(arguments.json, machine, rows)


if __name__ == "__main__":
    main()
