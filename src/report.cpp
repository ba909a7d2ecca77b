// SPDX-License-Identifier: Apache-2.0
// ASYNCJOB_REPORT=FILE: the process's numbers as JSON, when it exits. Contract: asyncjob(1).
//
// The file is written when the library's destructors run, behind the program's own, by each process
// that has used jobs; so a shell that starts the program does not put its zeroes in the place of
// the program's numbers, nor a forked child what it has from its parent.
//
// exit() may be called in a signal handler that has interrupted anything, on a stack of a few KiB:
// no lock is waited for long, and what is large is static.
//
// Owner: the loader. Threads: the one that exits. Next layer down: stats.hpp, output_file.hpp.
#include "report.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "os/file.hpp"
#include "output_file.hpp"
#include "stats.hpp"

namespace asyncjob {

namespace {

constinit OutputFile file("ASYNCJOB_REPORT");

std::atomic<bool> uses_jobs = false;

__attribute__((constructor)) void read_variable() {
    file.read_variable();
}

void write_report(const asyncjob_stats_t& stats, bool has_all) {
    static char text[1024];
    const int size = std::snprintf(
        text, sizeof text,
        "{\n"
        "  \"program\": \"%s\",\n"
        "  \"pid\": %ld,\n"
        "  \"started\": %" PRIu64
        ",\n"
        "  \"finished\": %" PRIu64
        ",\n"
        "  \"cancelled\": %" PRIu64
        ",\n"
        "  \"refused\": %" PRIu64
        ",\n"
        "  \"live\": %" PRIu64
        ",\n"
        "  \"paused\": %" PRIu64
        ",\n"
        "  \"idle\": %" PRIu64
        ",\n"
        "  \"peak\": %" PRIu64
        ",\n"
        "  \"left_behind\": %" PRIu64
        ",\n"
        "  \"threads\": %" PRIu64
        ",\n"
        "  \"stack_high_water\": %" PRIu64
        ",\n"
        "  \"partial\": %s\n"
        "}\n",
        file.program(), static_cast<long>(getpid()), stats.started, stats.finished, stats.cancelled,
        stats.refused, stats.live, stats.paused, stats.idle, stats.peak, stats.left_behind,
        stats.threads, stats.stack_high_water, has_all ? "false" : "true");
    static constinit os::Replacement target(os::Replacement::For::all);
    if (!target.begin(file.path()) ||
        !target.finish(target.write(text, static_cast<std::size_t>(size))))
        file.complain(file.path(), std::strerror(errno));
}

__attribute__((destructor)) void report() {
    if (!file.is_wanted() || !uses_jobs.load(std::memory_order_relaxed))
        return;
    asyncjob_stats_t stats{};
    bool has_all = false;
    {
        const AllThreads threads(AllThreads::When::if_possible);
        if (!threads) {
            file.complain("not written: the process ended within the library");
            return;
        }
        has_all = process_stats(stats, threads, LookAtStacks::yes);
    }
    if (file.find_path(false))
        write_report(stats, has_all);
}

}  // namespace

void expect_report() noexcept {
    uses_jobs.store(true, std::memory_order_relaxed);
}

void expect_no_report() noexcept {
    uses_jobs.store(false, std::memory_order_relaxed);
}

}  // namespace asyncjob
