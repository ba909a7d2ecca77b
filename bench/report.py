#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures everything that bench/README.md describes, in one run pinned to one CPU, and makes
one report of it: a table of medians for this library, stock libcrypto and what else switches
stacks, the ratios that were asked for, and pictures."""

import argparse
import os
import re
import shlex
import sys

import measure
import plots
from measure import COROUTINE2, FIBER, FLOOR, JUMP, OURS, STOCK, UCONTEXT

MILLION = 1_000_000
MEMORY_OF_A_MILLION = 8_000_000_000  # bytes, of stock libcrypto's jobs, with some room

# What, operation, numerator, denominator, whether at least or at most, how much.
WANTED_RATIOS = (
    ("pause and resume, control words kept: times as fast as stock", "pause-resume")
    + (STOCK, OURS, "at least", 7.0),
    ("pause and resume, control words shared: times as fast as stock", "pause-resume-shared-fp")
    + (STOCK, OURS, "at least", 10.0),
    ("pause and resume, control words kept: part of Boost's raw jump pair", "pause-resume")
    + (OURS, JUMP, "at most", 1.2),
    ("start and finish: times as fast as stock", "start-finish", STOCK, OURS, "at least", 12.0),
    ("start and finish, 64 bytes of arguments: times as fast as stock", "start-finish-64B")
    + (STOCK, OURS, "at least", 8.0),
    ("current job, outside a job: times as fast as stock", "current-job-outside")
    + (STOCK, OURS, "at least", 4.0),
    ("current job, inside a job: times as fast as stock", "current-job-inside")
    + (STOCK, OURS, "at least", 4.0),
    ("sweep in turn over 100,000 jobs: times as fast as stock", "sweep-100000-in-turn")
    + (STOCK, OURS, "at least", 8.0),
    ("the same by a loop that calls asyncjob_prefetch()", "sweep-100000-in-turn-prefetch")
    + (STOCK, OURS, "at least", 8.0),
    ("1,000,000 jobs parked: part of stock's time", f"park-{MILLION}")
    + (OURS, STOCK, "at most", 0.6),
)
WANTED_BYTES = 4600.0  # of each of 1,000,000 paused jobs, page tables included

# Black for the floor, and colours that the colour-blind can tell apart.
COLOURS = {OURS: "#0072b2", STOCK: "#d55e00", JUMP: "#009e73"}
NAMES = {
    OURS: "asyncjob",
    STOCK: "libcrypto",
    FLOOR: "bare assembly switch",
    JUMP: "Boost raw jump",
    FIBER: "Boost fiber, pooled",
    COROUTINE2: "Boost.Coroutine2",
    UCONTEXT: "swapcontext()",
}
SOLID, DASHED = "", "6 4"

COLUMNS = """\
Times are CPU time in ns. `spread` is the distance of the quartiles as a part of the median, the
worst of its row. `stock/ours` above 1 is in favour of this library, `ours/jump` above 1 of
Boost's raw jump. `floor` is a bare switch of callee-saved registers and stack pointer, in
assembly; for the current job a function that returns at once; for TLS it is no job at all. `-`: not there, or not measured.
"""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    measure.add_arguments(parser)
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        metavar="N",
        help="of what takes a process for each figure (default: %(default)s)",
    )
    parser.add_argument(
        "--million",
        action="store_true",
        help="sweep over and park 1,000,000 jobs too: 6 GB of memory and some minutes",
    )
    parser.add_argument(
        "--quick", action="store_true", help="only see that all of it runs: the figures mean little"
    )
    parser.add_argument("--out", metavar="DIR", help="write report.md, report.json, *.svg there")
    arguments = parser.parse_args()
    arguments.counts = [1_000, 10_000, 100_000]
    arguments.messages = 100_000
    if arguments.quick:
        arguments.repetitions, arguments.min_time, arguments.rounds = 2, 0.001, 1
        arguments.counts, arguments.messages = [100, 1_000], 1_000
    return arguments


def say(what):
    print(f"report: {what}", file=sys.stderr, flush=True)


def measure_all(arguments):
    """What the programs say of themselves, all rows, and notes of what was left out."""
    notes = []
    say("operations and sweeps")
    context, rows = measure.measure_operations(arguments, ".", arguments.counts)
    libraries = [name for name in (OURS, STOCK) if name in context]

    million = arguments.million
    if million and measure.available_memory() < MEMORY_OF_A_MILLION:
        notes.append("1,000,000 jobs: not enough memory here.")
        million = False
    if million:
        sweeping = libraries + [JUMP] * ("boost" in context)
        say("sweep over 1,000,000")
        # Behind the other sweeps, so that the table has them in order.
        last = max(i for i, row in enumerate(rows) if row["operation"].startswith("sweep-"))
        rows[last + 1 : last + 1] = measure.measure_large_sweep(
            arguments, MILLION, arguments.rounds, sweeping
        )
    for count in arguments.counts + [MILLION] * million:
        say(f"parking {count:,}")
        # A process with few jobs takes milliseconds, and its time varies more.
        rounds = arguments.rounds * (3 if count <= 10_000 else 1)
        rows += measure.measure_parking(arguments, count, rounds, libraries)

    if not os.path.exists(os.path.join(arguments.programs, "tls")):
        notes.append("TLS: the program tls was not built.")
    elif STOCK in context:
        say("TLS")
        library = measure.library_of(context[OURS])
        rounds = 3 * arguments.rounds
        rows += measure.measure_tls(arguments, arguments.messages, rounds, library)
    return context, rows, notes


def check_wanted(rows):
    """[{"what", "wanted", "measured", "met"}]; the last two None if it was not measured."""
    by_name = {row["operation"]: row for row in rows}
    results = []

    def add(what, kind, bound, value):
        met = None
        if value is not None:
            value = round(value, 3)
            met = value >= bound if kind == "at least" else value <= bound
        results.append(
            {"what": what, "wanted": f"{kind} {bound:g}", "measured": value, "met": met}
        )

    for what, operation, above, below, kind, bound in WANTED_RATIOS:
        add(what, kind, bound, measure.ratio(by_name.get(operation), above, below))
    calls, job = (by_name.get(name) for name in ("pause-resume", "pause-resume-cxx"))
    times = job[OURS]["median"] / calls[OURS]["median"] if calls and job else None
    add("pause and resume by job.hpp: times what the C calls take", "at most", 1.2, times)
    parts = [by_name.get(f"memory-{MILLION}-{what}") for what in ("resident", "page-tables")]
    each = sum(row[OURS]["median"] for row in parts) if None not in parts else None
    add("each of 1,000,000 guarded paused jobs: bytes", "at most", WANTED_BYTES, each)
    return results


def format_wanted(results):
    lines = [("wanted", "", "measured", "met")]
    for result in results:
        value = result["measured"]
        measured = "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"
        met = {None: "-", True: "yes", False: "no"}[result["met"]]
        lines.append((result["what"], result["wanted"], measured, met))
    return measure.format_table(lines, text_columns=2)


def add_summaries(first, second):
    """Of two values that are added up, and hardly vary."""
    return {key: first[key] + second[key] for key in ("median", "low", "high")}


def draw_all(directory, rows, counts):
    """The names and titles of the pictures drawn."""
    by_name = {row["operation"]: row for row in rows}
    drawn = []

    def line(name, implementation, dash, operation):
        rows_of_counts = [(count, by_name.get(operation.format(count), {})) for count in counts]
        points = [
            (count, row[implementation]) for count, row in rows_of_counts if implementation in row
        ]
        return {"name": name, "colour": COLOURS[implementation], "dash": dash, "points": points}

    def draw(name, title, function, *others, **options):
        function(os.path.join(directory, name + ".svg"), title, *others, **options)
        drawn.append((name, title))

    def present(series):
        return [one for one in series if one["points"]]

    by_frames = ["pause-resume", "pause-resume-4-frames", "pause-resume-8-frames"]
    shared = [name.replace("resume", "resume-shared-fp", 1) for name in by_frames]
    switches = [
        (name, [by_name.get(operation, {}).get(implementation) for operation in operations])
        for name, implementation, operations in (
            (NAMES[FLOOR], FLOOR, by_frames),
            (NAMES[JUMP], JUMP, by_frames),
            (NAMES[FIBER], FIBER, by_frames),
            (NAMES[COROUTINE2], COROUTINE2, by_frames),
            (f"{NAMES[OURS]}, control words shared", OURS, shared),
            (f"{NAMES[OURS]}, control words kept", OURS, by_frames),
            (NAMES[STOCK], STOCK, by_frames),
            (NAMES[UCONTEXT], UCONTEXT, by_frames),
        )
    ]
    draw(
        "switch",
        "A pause and a resume, by frames of the user's code on each side",
        plots.draw_dots,
        "CPU time, ns",
        [
            ("no frames", "circle", "#0072b2"),
            ("4 frames", "square", "#d55e00"),
            ("8 frames", "triangle", "#7b4b94"),
        ],
        [row for row in switches if any(row[1])],
    )
    draw(
        "sweep",
        "Resuming each of many paused jobs",
        plots.draw_lines,
        "paused jobs",
        "CPU time for each job, ns",
        present(
            line(f"{NAMES[who]}, {order}", who, dash, f"sweep-{{}}-{infix}")
            for who in (STOCK, OURS, JUMP)
            for order, infix, dash in (
                ("at random", "random", DASHED),
                ("in turn", "in-turn", SOLID),
            )
        ),
    )
    draw(
        "parking",
        "Starting many jobs that pause, first touch of their stacks included",
        plots.draw_lines,
        "jobs",
        "CPU time for each job, ns",
        present(line(NAMES[who], who, SOLID, "park-{}") for who in (STOCK, OURS)),
        log_y=False,
    )
    for count in counts:
        resident, tables = (
            by_name.get(f"memory-{count}-{what}") for what in ("resident", "page-tables")
        )
        if resident and tables:
            by_name[f"memory-{count}"] = {
                who: add_summaries(resident[who], tables[who])
                for who in (OURS, STOCK)
                if who in resident
            }
    draw(
        "memory",
        "Memory of many paused jobs, and after all of them have finished",
        plots.draw_lines,
        "jobs",
        "resident with page tables, for each job, bytes",
        present(
            line(f"{NAMES[who]}, {state}", who, dash, operation)
            for who in (STOCK, OURS)
            for state, dash, operation in (
                ("paused", SOLID, "memory-{}"),
                ("finished", DASHED, "memory-{}-left"),
            )
        ),
        log_y=False,
    )
    return drawn


def main():
    arguments = parse_arguments()
    os.sched_setaffinity(0, {arguments.cpu})
    context, rows, notes = measure_all(arguments)
    how = f"{arguments.repetitions} repetitions; {arguments.rounds} processes for parking, "
    how += f"{3 * arguments.rounds} for up to 10,000 jobs and for TLS"
    machine = measure.describe_machine(arguments, context, how)
    # Without a directory that only this machine has.
    command = shlex.join(re.sub(r"^(--\w+=)?/.*/", r"\1", word) for word in sys.argv)
    wanted = check_wanted(rows)

    text = "# asyncjob: the benchmarks\n\n"
    text += "".join(f"- {what}: {value}\n" for what, value in machine.items())
    text += f"- command: `{command}`\n\n{COLUMNS}\n"
    text += measure.format_rows(rows) + "\n" + format_wanted(wanted)
    text += "".join(f"\n{note}\n" for note in notes)
    print(text, end="")
    if arguments.out:
        os.makedirs(arguments.out, exist_ok=True)
        counts = arguments.counts + [MILLION]
        for name, title in draw_all(arguments.out, rows, counts):
            text += f"\n![{title}]({name}.svg)\n"
        with open(os.path.join(arguments.out, "report.md"), "w", encoding="utf-8") as file:
            file.write(text)
        measure.write_json(
            os.path.join(arguments.out, "report.json"),
            machine,
            rows,
            command=command,
            wanted=wanted,
            notes=notes,
        )


if __name__ == "__main__":
    main()
