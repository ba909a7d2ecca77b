#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks pinned to one CPU, repetitions of all of them interleaved at random,
and prints one table of medians: this library, stock libcrypto, Boost.Context."""

import argparse
import collections
import json
import os
import statistics
import subprocess
import sys

OURS, STOCK, JUMP, FIBER = "ours", "stock", "boost-jump", "boost-fiber"
IMPLEMENTATIONS = (OURS, STOCK, JUMP, FIBER)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--programs",
        metavar="DIR",
        default=os.path.dirname(os.path.abspath(__file__)),
        help="where jobs_bench and memory are",
    )
    parser.add_argument(
        "--cpu", type=int, default=max(os.sched_getaffinity(0)), help="the CPU to run on"
    )
    parser.add_argument("--repetitions", type=int, default=15, metavar="N")
    parser.add_argument(
        "--min-time", type=float, default=0.05, metavar="S", help="of each repetition, in seconds"
    )
    parser.add_argument(
        "--filter", default=".", metavar="RE", help="benchmarks to run; -RE: not to run"
    )
    parser.add_argument(
        "--jobs", type=int, default=100_000, metavar="N", help="for memory; 0 leaves it out"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def run(program, *arguments):
    """The standard output of a program; ends this one if it fails."""
    result = subprocess.run([program, *arguments], stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"compare: {program} failed with status {result.returncode}")
    return result.stdout


def measure_times(arguments):
    """What jobs_bench reports, and {operation: {implementation: [ns of each repetition]}}."""
    output = run(
        os.path.join(arguments.programs, "jobs_bench"),
        "--benchmark_format=json",
        "--benchmark_enable_random_interleaving=true",
        f"--benchmark_repetitions={arguments.repetitions}",
        f"--benchmark_min_time={arguments.min_time}",
        f"--benchmark_filter={arguments.filter}",
    )
    if not output:
        sys.exit("compare: no benchmark has such a name")
    report = json.loads(output)
    times = collections.defaultdict(lambda: collections.defaultdict(list))
    # In the order of registration, which the interleaving has shuffled.
    for entry in sorted(report["benchmarks"], key=lambda entry: entry["family_index"]):
        if entry.get("error_occurred"):
            sys.exit(f"compare: {entry['name']}: {entry['error_message']}")
        if entry["run_type"] == "iteration":
            operation, implementation = entry["run_name"].rsplit("/", 1)
            times[operation][implementation].append(entry["cpu_time"])
    return report["context"], times


def measure_memory(arguments, with_stock):
    """{operation: {implementation: [bytes]}} of a paused job."""
    use = collections.defaultdict(dict)
    for implementation in (OURS, STOCK) if with_stock else (OURS,):
        lines = run(
            os.path.join(arguments.programs, "memory"), implementation, str(arguments.jobs)
        ).splitlines()
        for what, number in map(str.split, lines):
            use[f"memory-{what}"][implementation] = [float(number)]
    return use


def summarise(values):
    """Median and spread: the interquartile range as a part of the median."""
    median = statistics.median(values)
    if len(values) < 2:
        return {"median": median, "spread": 0.0}
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "spread": (high - low) / median if median else 0.0}


def make_row(operation, unit, values):
    row = {"operation": operation, "unit": unit}
    for implementation in IMPLEMENTATIONS:
        if implementation in values:
            row[implementation] = summarise(values[implementation])
    return row


def ratio(row, above, below):
    if above not in row or below not in row or not row[below]["median"]:
        return None
    return row[above]["median"] / row[below]["median"]


def print_table(rows):
    titles = ("operation", "unit", *IMPLEMENTATIONS, "spread", "stock/ours", "ours/jump")
    lines = [titles]
    for row in rows:
        present = [row[name] for name in IMPLEMENTATIONS if name in row]
        medians = (
            f"{row[name]['median']:.{1 if row['unit'] == 'ns' else 0}f}" if name in row else "-"
            for name in IMPLEMENTATIONS
        )
        ratios = (
            "-" if value is None else f"{value:.2f}"
            for value in (ratio(row, STOCK, OURS), ratio(row, OURS, JUMP))
        )
        spread = f"{100 * max(one['spread'] for one in present):.0f} %"
        lines.append((row["operation"], row["unit"], *medians, spread, *ratios))
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, tuple("-" * width for width in widths))
    for line in lines:
        first, *others = zip(line, widths)
        cells = [first[0].ljust(first[1])] + [cell.rjust(width) for cell, width in others]
        print("| " + " | ".join(cells) + " |")


def main():
    arguments = parse_arguments()
    os.sched_setaffinity(0, {arguments.cpu})
    context, times = measure_times(arguments)
    rows = [make_row(operation, "ns", values) for operation, values in times.items()]
    if arguments.jobs > 0:
        memory = measure_memory(arguments, STOCK in context)
        rows += [make_row(operation, "bytes", values) for operation, values in memory.items()]

    machine = os.uname()
    for what, text in (
        ("ours", context["ours"]),
        ("stock", context.get("stock", "not here")),
        ("boost", context.get("boost", "not here")),
        ("machine", f"{machine.sysname} {machine.release} {machine.machine}"),
        ("medians of", f"{arguments.repetitions} repetitions on CPU {arguments.cpu}"),
    ):
        print(f"{what + ':':<11} {text}")
    print()
    print_table(rows)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"context": context, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
