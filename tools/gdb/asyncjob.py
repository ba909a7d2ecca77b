# SPDX-License-Identifier: Apache-2.0
"""gdb commands for asyncjob: the jobs of a process or a core file, and backtraces of those that
do not run. In gdb: source asyncjob.py

Jobs are found through the library's own structures (src/threads.hpp, src/job_pool.hpp,
src/job.hpp) by its debug information. A backtrace starts at the frame that the job has left
(src/arch/frame.h). No register and no memory of the process is changed: for the time of the
command an unwinder takes the thread's newest frame for one that the job's frame has called.

Needs gdb 11 or later. Next layer down: gdb's Python.
"""

import os
import re

import gdb
import gdb.unwinder

NAME_BITS = 63  # of a handle, see job.hpp: the serial
# src/arch/frame.h: byte offsets from where the slot points to
FRAME = {"rip": 0, "rbp": -16, "rbx": -24, "r12": -32, "r13": -40, "r14": -48, "r15": -56}
FRAME_CALLER = 8  # the stack pointer, once the return address is off
BACKEND = "x86_64 assembly"  # src/arch/context_asm.cpp
# Frames between a job's function and the switch.
OURS = re.compile(r"(ASYNC_|asyncjob_|asyncjob::)")


def read_bytes(address, size):
    return gdb.selected_inferior().read_memory(address, size).tobytes()


def read_word(address):
    return int.from_bytes(read_bytes(address, 8), "little")


def word_in(value):
    """Of an atomic or a pointer, whatever the C++ library makes of it."""
    return read_word(int(value.address))


def has_symbol(expression):
    try:
        gdb.parse_and_eval(expression)
        return True
    except gdb.error:
        return False


class Job:
    """One that is running, waiting for a job that it has entered, or paused."""

    def __init__(self, header, handle, state, thread, slot):
        self.number = int(word_in(header["made"]))
        self.handle = handle
        self.state = state
        self.thread = thread  # the system's number
        self.slot = slot  # where its frame is; None: on the processor
        self.low = int(header["rest"]["stack"]["low"])
        self.high = int(header["rest"]["stack"]["high"])

    def stack(self):
        used = "-"
        if self.slot is not None and self.low <= self.slot < self.high:
            used = str(self.high - self.slot)
        return "%s/%d" % (used, self.high - self.low)


def list_heads():
    """The library's lists of threads: one for each copy of it in the process."""
    try:
        architecture = gdb.newest_frame().architecture().name()
    except gdb.error:
        raise gdb.GdbError("There is no process and no core file: use run, attach or core-file.")
    if architecture != "i386:x86-64":
        raise gdb.GdbError("The process is one of %s: these commands know x86-64 alone." %
                           architecture)
    heads = [symbol.value() for symbol in
             gdb.lookup_static_symbols("asyncjob::(anonymous namespace)::list")]
    if not heads:
        if has_symbol("(long)&asyncjob_last_reason"):
            raise gdb.GdbError(
                "libasyncjob has no debug information with types (-g, not -g1), by which jobs "
                "are found: build it with -DCMAKE_BUILD_TYPE=RelWithDebInfo and install it "
                "unstripped, or give gdb its separate debug symbols (symbol-file, "
                "debug-file-directory).")
        raise gdb.GdbError("libasyncjob is not loaded in this process.")
    backend = gdb.lookup_global_symbol("asyncjob::arch::backend")
    name = backend.value().string() if backend is not None else BACKEND
    if name != BACKEND:
        raise gdb.GdbError("libasyncjob was built to switch by %s: these commands know %s alone." %
                           (name, BACKEND))
    return heads


def chain(first, following, what):
    """The items of a list; in a damaged one, up to where it comes back to itself."""
    seen = set()
    item = first
    while int(item) != 0:
        if int(item) in seen:
            raise gdb.GdbError("The list of %s is damaged: it leads back into itself." % what)
        seen.add(int(item))
        yield item
        item = item[following]


def jobs_of_thread(entry):
    job_type = entry["pool"]["last_made_"].type
    key = int(entry["key"])
    current = read_word(int(entry["current"]))
    # The current job, the one that entered it, and so on; and where the frames of all but the
    # first are.
    entered = {}
    slot = None
    next_slot = None
    if current != 0:
        state = entry["current"].cast(gdb.lookup_type("asyncjob::ThreadState").pointer())
        next_slot = int(state["outside"])
    handle = current
    while handle != 0 and handle not in entered:
        entered[handle] = slot
        header = gdb.Value(handle & ~NAME_BITS).cast(job_type)
        slot, next_slot = next_slot, int(header["rest"]["outer_outside"])
        handle = word_in(header["outer"])

    for header in chain(entry["pool"]["last_made_"], "made_before", "jobs"):
        if word_in(header["made"]) == 0:  # what is not in a core file may read as zero
            gdb.write("warning: The memory of jobs is not in this core file, or damaged: those of "
                      "LWP %d are shown as far as it is.\n"
                      "gcore leaves out what has guards of Linux 6.13 and later in it; "
                      "the kernel's own core files have it.\n" % int(entry["id"]), gdb.STDERR)
            return
        ticket = word_in(header["ticket"])
        handle = int(header) | (ticket & NAME_BITS)
        if handle in entered:
            state = "running" if handle == current else "waiting"
            yield Job(header, handle, state, int(entry["id"]), entered[handle])
        elif ticket == handle ^ key:
            yield Job(header, handle, "paused", int(entry["id"]),
                      int(header["fiber"]["suspended"]))


def all_jobs():
    found = []
    try:
        for head in list_heads():
            for entry in chain(head, "next", "threads"):
                found.extend(jobs_of_thread(entry))
    except gdb.MemoryError as error:
        raise gdb.GdbError("The jobs cannot be read, as in a core file that leaves memory out: %s" %
                           error)
    return sorted(found, key=lambda job: job.number)


def gdb_thread(system_number):
    for thread in gdb.selected_inferior().threads():
        if thread.is_valid() and thread.ptid[1] == system_number:
            return thread
    return None


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


# gdb ends backtraces at main, at the program's entry and at a limit. The newest frame of a thread
# may be of one of those functions, and here the job's frames come behind it.
ENDS = {"backtrace past-main": "on", "backtrace past-entry": "on", "backtrace limit": "unlimited"}


def show_parameter(name):
    value = gdb.parameter(name)
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unlimited" if value is None else str(value)


def set_parameters(values):
    for name, value in values.items():
        gdb.execute("set %s %s" % (name, value), to_string=True)


class JobUnwinder(gdb.unwinder.Unwinder):
    """Within `with`, the selected thread's newest frame has the job's as its caller."""

    def __init__(self):
        super().__init__("asyncjob")
        self.slot = None

    def __call__(self, pending):
        if self.slot is None or int(pending.read_register("rsp")) != self.sp or \
           int(pending.read_register("rip")) != self.pc:
            return None
        # Below the job's frames, as gdb takes frames that go down for damage.
        info = pending.create_unwind_info(FrameId(gdb.Value(self.slot), gdb.Value(self.pc)))
        for register, offset in FRAME.items():
            kind = pending.read_register(register).type
            info.add_saved_register(register, gdb.Value(read_bytes(self.slot + offset, 8), kind))
        stack_pointer = (self.slot + FRAME_CALLER).to_bytes(8, "little")
        info.add_saved_register("rsp",
                                gdb.Value(stack_pointer, pending.read_register("rsp").type))
        return info

    def on(self, job):
        self.job = job
        return self

    def __enter__(self):
        self.thread = gdb.selected_thread()
        self.level = gdb.selected_frame().level()
        thread = gdb_thread(self.job.thread)
        if thread is not None:
            thread.switch()
        newest = gdb.newest_frame()
        self.sp = int(newest.read_register("rsp"))
        self.pc = int(newest.read_register("rip"))
        self.ends = {name: show_parameter(name) for name in ENDS}
        self.slot = self.job.slot
        set_parameters(ENDS)
        gdb.invalidate_cached_frames()

    def __exit__(self, *error):
        self.slot = None
        set_parameters(self.ends)
        gdb.invalidate_cached_frames()
        self.thread.switch()
        frame = gdb.newest_frame()
        for _ in range(self.level):
            frame = frame.older()
        frame.select()


def frames_before_job():
    """How many frames stand before the job's, while the unwinder is on: the thread's newest, with
    the functions that are inlined there, which gdb shows as frames."""
    frame = gdb.newest_frame()
    count = 1
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
        count += 1
    return count, frame.older()


unwinder = JobUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def where(job):
    """The innermost of a job's own functions."""
    if job.slot is None:
        return "-"
    with unwinder.on(job):
        _, frame = frames_before_job()
        while frame is not None and OURS.match(frame.name() or ""):
            frame = frame.older()
        if frame is None:
            return "-"
        name = frame.name() or "%#x" % frame.pc()
        place = frame.find_sal()
        if place.symtab is not None:
            name += " at %s:%d" % (os.path.basename(place.symtab.filename), place.line)
        return name


class InfoAsyncJobs(gdb.Command):
    """Lists the jobs of all threads: number, handle, state, thread, stack and place.

A job is running, or waiting for a job that it has entered itself, or paused. Its number stays the
same while it lives. Of its stack the bytes in use and all of them are shown; the place is where
its own code is. Jobs of threads that have ended are not listed."""

    def __init__(self):
        super().__init__("info async-jobs", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if argument:
            raise gdb.GdbError("info async-jobs takes no argument.")
        jobs = all_jobs()
        if not jobs:
            print("No jobs.")
            return
        rows = [("Num", "Handle", "State", "Thread", "Stack", "Where")]
        for job in jobs:
            thread = gdb_thread(job.thread)
            name = "LWP %d" % job.thread
            if thread is not None:
                name = "%d (%s)" % (thread.num, name)
            rows.append((str(job.number), "%#x" % job.handle, job.state, name, job.stack(),
                         where(job)))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for row in rows:
            print("  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[5]]))


class AsyncJob(gdb.Command):
    """async-job N bt [full]: the backtrace of a job that is paused, or waits for another.

N is the number that `info async-jobs` shows. Nothing in the process changes."""

    USAGE = "Usage: async-job N bt [full], with a number from info async-jobs."

    def __init__(self):
        super().__init__("async-job", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) not in (2, 3) or not words[0].isdecimal() or \
           words[1] not in ("bt", "backtrace") or words[2:] not in ([], ["full"]):
            raise gdb.GdbError(self.USAGE)
        number = int(words[0])
        jobs = [job for job in all_jobs() if job.number == number]
        if not jobs:
            raise gdb.GdbError("There is no job %d: see info async-jobs." % number)
        if len(jobs) > 1:
            raise gdb.GdbError("There are %d jobs %d, of several copies of libasyncjob." %
                               (len(jobs), number))
        job = jobs[0]
        if job.slot is None:
            thread = gdb_thread(job.thread)
            raise gdb.GdbError("Job %d is running: its frames are those of its thread. "
                               "Use thread %s, then bt." %
                               (number, thread.num if thread is not None else
                                "with LWP %d" % job.thread))
        try:
            with unwinder.on(job):
                before, first = frames_before_job()
                if first is None:
                    raise gdb.GdbError("gdb finds no frame where job %d has left one." % number)
                if unwinder.ends["backtrace limit"] != "unlimited":
                    words.append(str(before + int(unwinder.ends["backtrace limit"])))
                text = gdb.execute("backtrace " + " ".join(words[2:]), to_string=True)
        except gdb.MemoryError as error:
            raise gdb.GdbError("The frame of job %d cannot be read: %s" % (number, error))
        print(without_first(text, before), end="")


def without_first(text, count):
    """Of a backtrace's text, all but the first frames, numbered from 0."""
    start = re.search(r"^#%d " % count, text, re.MULTILINE)
    return re.sub(r"^#(\d+)( +)",
                  lambda match: ("#%d" % (int(match[1]) - count)).ljust(len(match[0])),
                  text[start.start():], flags=re.MULTILINE)


InfoAsyncJobs()
AsyncJob()
