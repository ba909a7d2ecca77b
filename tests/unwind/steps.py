# SPDX-License-Identifier: Apache-2.0
"""Run by gdb: steps through a start, a pause, a resume and an end, instruction by instruction, and
wants a backtrace at each that ends in main, with main's own registers, or at the job's entry."""

import gdb

OURS = ("ASYNC_start_job", "ASYNC_pause_job", "asyncjob_context_end_kept",
        "asyncjob_context_end_comparing", "asyncjob_context_end_shared")
# The functions' outermost instructions on a job's stack: the call that a job is entered by, and
# what runs there behind its function. Their backtraces end there.
OUTERMOST = 8


def frames():
    frame = gdb.newest_frame()
    found = []
    while frame is not None and len(found) < 12:
        found.append(frame)
        frame = frame.older()
    return found


def line(text):
    with open(SOURCE) as file:
        return next(number for number, row in enumerate(file, 1) if text in row)


gdb.execute("set pagination off")
gdb.execute("set debuginfod enabled off")
gdb.execute("set environment LD_BIND_NOW=1")
gdb.execute("break main", to_string=True)
gdb.execute("run", to_string=True)
SOURCE = gdb.newest_frame().find_sal().symtab.fullname()
gdb.execute("break %d" % line("steps begin here"), to_string=True)
gdb.execute("continue", to_string=True)
gdb.execute("delete")
begin, end = line("steps begin here"), line("steps end here")
frame = gdb.newest_frame()
rbp = int(frame.read_register("rbp"))
seen, outermost, wrong = 0, set(), {}
for _ in range(20000):
    stack = frames()
    names = [frame.name() for frame in stack]
    if names[0] == "main" and stack[0].find_sal().line >= end:
        break
    if names[0] in OURS:
        seen += 1
        pc = stack[0].pc()
        if names[-1] in ("main", "__libc_start_call_main", "__libc_start_main_impl", "_start"):
            main = next(frame for frame in stack if frame.name() == "main")
            if int(main.read_register("rbp")) != rbp:
                wrong[pc] = names + ["not main's rbp"]
        elif len(names) == 1:
            outermost.add(pc)
        elif names[1] not in ("pause_once", "pause_often", "finish"):
            wrong[pc] = names
    gdb.execute("stepi", to_string=True)
for pc, names in sorted(wrong.items()):
    print("%#x %s: %s" % (pc, gdb.newest_frame().architecture().disassemble(pc)[0]["asm"], names))
print("%d steps, %d outermost, %d wrong" % (seen, len(outermost), len(wrong)))
gdb.execute("kill")
gdb.execute("quit %d" % (1 if wrong or len(outermost) > OUTERMOST or seen < 200 else 0))
