// SPDX-License-Identifier: Apache-2.0
// ASYNCJOB_REPORT=FILE: the process's numbers as JSON, when it exits. Contract: asyncjob(1).
//
// The variable is read when the library is loaded: programs overwrite their environment, change
// their folder, and drop rights later on. The file is written when the library's destructors run,
// behind the program's own, by each process that has used jobs; so a shell that starts the
// program does not put its zeroes in the place of the program's numbers, nor a forked child what it
// has from its parent.
//
// exit() may be called in a signal handler that has interrupted anything, on a stack of a few KiB:
// no lock is waited for long, and what is large is static.
//
// Owner: the loader. Threads: the one that exits. Next layer down: stats.hpp.
#include "report.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "os/file.hpp"
#include "os/program.hpp"
#include "stats.hpp"

namespace asyncjob {

namespace {

constexpr const char* variable = "ASYNCJOB_REPORT";

std::atomic<bool> uses_jobs = false;

// Absolute, or empty. May have %p, for the number of the process.
char pattern[PATH_MAX];

// The program's, as a JSON string can have it without escapes. Programs overwrite where libc has
// it.
char name[64];

void complain(const char* what, const char* why) {
    std::fprintf(stderr, "asyncjob: %s: %s: %s\n", variable, what, why);
}

void keep_name() {
    std::size_t used = 0;
    for (const char* at = os::program_name(); *at != '\0' && used < sizeof name - 1; ++at) {
        const bool is_plain = *at >= ' ' && *at <= '~' && *at != '"' && *at != '\\';
        name[used++] = is_plain ? *at : '?';
    }
    name[used] = '\0';
}

__attribute__((constructor)) void read_variable() {
    const char* const file = os::trusted_variable(variable);
    if (file == nullptr || file[0] == '\0')
        return;
    std::size_t used = 0;
    if (file[0] != '/') {
        if (getcwd(pattern, sizeof pattern - 1) == nullptr) {
            complain("the current folder", std::strerror(errno));
            pattern[0] = '\0';
            return;
        }
        used = std::strlen(pattern);
        pattern[used++] = '/';
    }
    const std::size_t length = std::strlen(file);
    if (length >= sizeof pattern - used) {
        complain(file, std::strerror(ENAMETOOLONG));
        pattern[0] = '\0';
        return;
    }
    std::memcpy(pattern + used, file, length + 1);
    keep_name();
}

// False: too long.
bool expand(char* to, std::size_t room) {
    const char* from = pattern;
    std::size_t used = 0;
    while (*from != '\0') {
        char number[24] = "";
        if (from[0] == '%' && from[1] == 'p') {
            std::snprintf(number, sizeof number, "%ld", static_cast<long>(getpid()));
            from += 2;
        } else {
            number[0] = *from++;
        }
        const std::size_t size = std::strlen(number);
        if (used + size >= room)
            return false;
        std::memcpy(to + used, number, size + 1);
        used += size;
    }
    return true;
}

void write_report(const char* path, const asyncjob_stats_t& stats, bool has_all) {
    static char text[1024];
    const int size = std::snprintf(text, sizeof text,
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
                                   name, static_cast<long>(getpid()), stats.started, stats.finished,
                                   stats.cancelled, stats.refused, stats.live, stats.paused,
                                   stats.idle, stats.peak, stats.left_behind, stats.threads,
                                   stats.stack_high_water, has_all ? "false" : "true");
    static char beside[PATH_MAX];
    const int length =
        std::snprintf(beside, sizeof beside, "%s.%ld.tmp", path, static_cast<long>(getpid()));
    if (length < 0 || static_cast<std::size_t>(length) >= sizeof beside) {
        complain(path, std::strerror(ENAMETOOLONG));
        return;
    }
    if (!os::replace_file(path, beside, text, static_cast<std::size_t>(size)))
        complain(path, std::strerror(errno));
}

__attribute__((destructor)) void report() {
    if (pattern[0] == '\0' || !uses_jobs.load(std::memory_order_relaxed))
        return;
    asyncjob_stats_t stats{};
    bool has_all = false;
    {
        const AllThreads threads(AllThreads::When::if_possible);
        if (!threads) {
            complain(pattern, "not written: the process ended within the library");
            return;
        }
        has_all = process_stats(stats, threads, LookAtStacks::yes);
    }
    static char path[PATH_MAX];
    if (!expand(path, sizeof path)) {
        complain(pattern, std::strerror(ENAMETOOLONG));
        return;
    }
    write_report(path, stats, has_all);
}

}  // namespace

void expect_report() noexcept {
    uses_jobs.store(true, std::memory_order_relaxed);
}

void expect_no_report() noexcept {
    uses_jobs.store(false, std::memory_order_relaxed);
}

}  // namespace asyncjob
