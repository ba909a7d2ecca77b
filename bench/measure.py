# SPDX-License-Identifier: Apache-2.0
"""What compare and report share: runs the benchmark programs, each figure several times, and
makes rows of medians from what they print.

A row is {"operation", "unit", implementation: {"median", "low", "high", "spread", "count"}}:
low and high are the quartiles, spread their distance as a part of the median."""

import collections
import json
import os
import platform
import re
import statistics
import subprocess
import sys

OURS, STOCK, FLOOR, JUMP = "ours", "stock", "floor", "boost-jump"
FIBER, COROUTINE2, UCONTEXT = "boost-fiber", "coroutine2", "ucontext"
IMPLEMENTATIONS = (OURS, STOCK, FLOOR, JUMP, FIBER, COROUTINE2, UCONTEXT)


def give_up(why):
    sys.exit(f"{os.path.basename(sys.argv[0])}: {why}")


def add_arguments(parser):
    """The options that compare and report have in common."""
    parser.add_argument(
        "--programs",
        metavar="DIR",
        default=os.path.dirname(os.path.abspath(__file__)),
        help="where jobs_bench, memory and tls are (default: beside this program)",
    )
    parser.add_argument(
        "--cpu",
        type=int,
        default=max(os.sched_getaffinity(0)),
        help="the CPU to run on (default: %(default)s)",
    )
    parser.add_argument(
        "--repetitions",
        type=int,
        default=15,
        metavar="N",
        help="of each timed operation (default: %(default)s)",
    )
    parser.add_argument(
        "--min-time",
        type=float,
        default=0.05,
        metavar="S",
        help="of each repetition, in seconds (default: %(default)s)",
    )


def run(arguments, program, *parameters, environment=None):
    """The standard output of a program; ends this one if it fails."""
    result = subprocess.run(
        [os.path.join(arguments.programs, program), *map(str, parameters)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if result.returncode != 0:
        give_up(f"{program} failed with status {result.returncode}")
    return result.stdout


def summarise(values):
    median = statistics.median(values)
    low, high = median, median
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": round(median, 3),
        "low": round(low, 3),
        "high": round(high, 3),
        "spread": round((high - low) / abs(median), 4) if median else 0.0,
        "count": len(values),
    }


def make_row(operation, unit, values):
    """Of {implementation: [value]}."""
    row = {"operation": operation, "unit": unit}
    for implementation in IMPLEMENTATIONS:
        if values.get(implementation):
            row[implementation] = summarise(values[implementation])
    return row


def ratio(row, above, below):
    """Of two medians; None if one of them is not there."""
    if row is None or above not in row or below not in row or not row[below]["median"]:
        return None
    return row[above]["median"] / row[below]["median"]


def in_turns(rounds, implementations):
    """Each implementation once in a round, every other round backwards, so that a slow moment
    of the machine, or one that follows another's, hits all alike."""
    for index in range(rounds):
        yield from implementations if index % 2 == 0 else reversed(implementations)


def run_jobs_bench(arguments, pattern, repetitions, min_time, *options):
    """What jobs_bench says of itself, and {operation: {implementation: [ns]}}."""
    output = run(
        arguments,
        "jobs_bench",
        *options,
        "--benchmark_format=json",
        "--benchmark_enable_random_interleaving=true",
        f"--benchmark_repetitions={repetitions}",
        f"--benchmark_min_time={min_time}",
        f"--benchmark_filter={pattern}",
    )
    if not output:
        give_up("no benchmark has such a name")
    report = json.loads(output)
    times = collections.defaultdict(lambda: collections.defaultdict(list))
    # In the order of registration, which the interleaving has shuffled.
    for entry in sorted(report["benchmarks"], key=lambda entry: entry["family_index"]):
        if entry.get("error_occurred"):
            give_up(f"{entry['name']}: {entry['error_message']}")
        if entry["run_type"] == "iteration":
            operation, implementation = entry["run_name"].rsplit("/", 1)
            times[operation][implementation].append(entry["cpu_time"])
    return report["context"], times


def measure_operations(arguments, pattern, sweeps):
    """All operations in one process, interleaved; the sweeps over so many jobs with them."""
    context, times = run_jobs_bench(
        arguments,
        pattern,
        arguments.repetitions,
        arguments.min_time,
        "--sweep=" + ",".join(map(str, sweeps)),
    )
    return context, [make_row(operation, "ns", values) for operation, values in times.items()]


def measure_large_sweep(arguments, count, rounds, implementations):
    """A sweep over so many jobs that each implementation needs a process of its own."""
    times = collections.defaultdict(lambda: collections.defaultdict(list))
    for implementation in in_turns(rounds, implementations):
        pattern = f"^sweep-{count}-.*/{implementation}$"
        _, measured = run_jobs_bench(arguments, pattern, 3, 0.2, f"--sweep={count}")
        for operation, values in measured.items():
            times[operation][implementation] += values[implementation]
    return [make_row(operation, "ns", values) for operation, values in times.items()]


def measure_parking(arguments, count, rounds, implementations):
    """Making so many jobs that pause, their memory, and what is left of it behind them."""
    values = collections.defaultdict(lambda: collections.defaultdict(list))
    for implementation in in_turns(rounds, implementations):
        output = run(arguments, "memory", implementation, count)
        said = {name: float(number) for name, number in map(str.split, output.splitlines())}
        for what in ("park", "resident", "page-tables"):
            values[what][implementation].append(said[what])
        values["left"][implementation].append(said["left-resident"] + said["left-page-tables"])
    return [
        make_row(f"park-{count}", "ns", values["park"]),
        make_row(f"memory-{count}-resident", "bytes", values["resident"]),
        make_row(f"memory-{count}-page-tables", "bytes", values["page-tables"]),
        make_row(f"memory-{count}-left", "bytes", values["left"]),
    ]


def measure_tls(arguments, messages, rounds, library):
    """A TLS message without jobs ("floor"), with stock ones, and with those of `library`."""
    times = collections.defaultdict(list)
    wanted = {OURS: os.path.basename(library), STOCK: "libcrypto.so", FLOOR: ""}
    for implementation in in_turns(rounds, (FLOOR, STOCK, OURS)):
        output = run(
            arguments,
            "tls",
            "sync" if implementation == FLOOR else "async",
            messages,
            environment={"LD_PRELOAD": library} if implementation == OURS else None,
        )
        said = dict(line.split(maxsplit=1) for line in output.splitlines())
        if not os.path.basename(said["library"]).startswith(wanted[implementation]):
            give_up(f"tls: {implementation} jobs came from {said['library']}")
        times[implementation].append(float(said["nanoseconds"]))
    # Of a message one call writes and one reads.
    jobs = {
        implementation: [
            (time - without) / 2 for time, without in zip(times[implementation], times[FLOOR])
        ]
        for implementation in (OURS, STOCK)
    }
    return [make_row("tls-message", "ns", times), make_row("tls-job", "ns", jobs)]


def library_of(text):
    """The file in "name version (file)", as jobs_bench describes a library."""
    return text[text.rindex("(") + 1 : text.rindex(")")]


def available_memory():
    """The bytes that programs can have without swapping."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def describe_machine(arguments, context, how):
    """What was measured and where: {what: text}, without any path of this machine."""

    def strip(text):
        return re.sub(r"/\S*/", "", text)

    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpuinfo = file.read()
    model = re.search(r"^model name\s*: (.*)", cpuinfo, re.MULTILINE)
    kind = ", under a hypervisor" if re.search(r"^flags.* hypervisor", cpuinfo, re.M) else ""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    release = re.match(r"[0-9.]*", platform.release())[0]  # without the builder's suffix
    boost = context.get("boost", "no Boost.Context")
    return {
        "ours": strip(context["ours"]),
        "stock": strip(context.get("stock", "not here")),
        "peers": f"{boost}, {os.confstr('CS_GNU_LIBC_VERSION')}",
        "CPU": f"{model[1] if model else platform.machine()}, {os.cpu_count()} of them{kind}",
        "system": f"{system}, {platform.system()} {release} {platform.machine()}",
        "compiler": context["compiler"],
        "medians of": f"{how}, on CPU {arguments.cpu}, "
        f"at nice {os.getpriority(os.PRIO_PROCESS, 0)}",
    }


def format_table(lines, text_columns=1):
    """Markdown of rows of strings, the first of which holds the titles."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = tuple(
        "-" * width if index < text_columns else "-" * (width - 1) + ":"
        for index, width in enumerate(widths)
    )
    text = ""
    for line in (lines[0], rule, *lines[1:]):
        cells = (
            cell.ljust(width) if index < text_columns else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths))
        )
        text += "| " + " | ".join(cells) + " |\n"
    return text


def format_rows(rows):
    """The table of medians."""
    shown = [name for name in IMPLEMENTATIONS if any(name in row for row in rows)]
    lines = [("operation", "unit", *shown, "spread", "stock/ours", "ours/jump")]
    for row in rows:
        digits = 1 if row["unit"] == "ns" else 0
        medians = (f"{row[name]['median']:.{digits}f}" if name in row else "-" for name in shown)
        spread = max(row[name]["spread"] for name in shown if name in row)
        ratios = (
            "-" if value is None else f"{value:.2f}"
            for value in (ratio(row, STOCK, OURS), ratio(row, OURS, JUMP))
        )
        lines.append((row["operation"], row["unit"], *medians, f"{100 * spread:.0f} %", *ratios))
    return format_table(lines)


def write_json(path, machine, rows, **others):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, **others, "rows": rows}, file, indent=1)
        file.write("\n")
