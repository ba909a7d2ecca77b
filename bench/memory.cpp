// SPDX-License-Identifier: Apache-2.0
// Prints what many jobs cost that start, pause and later finish: for each of them the CPU
// time of its start in nanoseconds, the bytes of this process that became resident and those
// of its page tables while all were paused, and the same after all have finished. One library
// in each run: `memory ours` or `memory stock`, with the number of jobs behind. Nothing is
// reused: each start makes a job and touches its stack for the first time.
//
// Next layer down: api.hpp, and /proc.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "api.hpp"

namespace {

// The bytes that a line "name  number kB" of a file in /proc says.
long long bytes_of(const char* file, const std::string& name) {
    std::ifstream lines(file);
    for (std::string word; lines >> word;) {
        long long kib = 0;
        if (word == name && lines >> kib)
            return kib * 1024;
    }
    std::fprintf(stderr, "memory: no %s in %s\n", name.c_str(), file);
    std::exit(1);
}

struct Use {
    long long resident;
    long long tables;

    static Use now() {
        return {bytes_of("/proc/self/smaps_rollup", "Rss:"),
                bytes_of("/proc/self/status", "VmPTE:")};
    }
};

// Of this process, in the kernel too: most of a first touch is there.
double cpu_nanoseconds() {
    timespec spent{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) * 1e9 + static_cast<double>(spent.tv_nsec);
}

template <const Api& api>
int pause_once(void* /*args*/) {
    api.pause_job();
    return 0;
}

template <const Api& api>
int start(ASYNC_JOB*& job, ASYNC_WAIT_CTX* wait) {
    int result = 0;
    return api.start_job(&job, wait, &result, pause_once<api>, nullptr, 0);
}

template <const Api& api>
int measure(std::size_t count) {
    if (api.library.empty())
        return 1;
    // The handles are resident before, and so is what the first job sets up. All jobs share
    // a wait context.
    std::vector<ASYNC_JOB*> jobs(count, nullptr);
    ASYNC_WAIT_CTX* const wait = api.wait_ctx_new();
    ASYNC_JOB* first = nullptr;
    if (wait == nullptr || start<api>(first, wait) != ASYNC_PAUSE) {
        std::fprintf(stderr, "memory: the first job did not start\n");
        return 1;
    }

    const Use before = Use::now();
    const double begin = cpu_nanoseconds();
    for (ASYNC_JOB*& job : jobs) {
        if (start<api>(job, wait) != ASYNC_PAUSE) {
            std::fprintf(stderr, "memory: a job did not start\n");
            return 1;
        }
    }
    const double end = cpu_nanoseconds();
    const Use paused = Use::now();
    for (ASYNC_JOB*& job : jobs) {
        if (start<api>(job, wait) != ASYNC_FINISH) {
            std::fprintf(stderr, "memory: a job did not finish\n");
            return 1;
        }
    }
    const Use finished = Use::now();

    const auto print = [count](const char* what, auto difference) {
        std::printf("%s %.1f\n", what,
                    static_cast<double>(difference) / static_cast<double>(count));
    };
    print("park", end - begin);
    print("resident", paused.resident - before.resident);
    print("page-tables", paused.tables - before.tables);
    print("left-resident", finished.resident - before.resident);
    print("left-page-tables", finished.tables - before.tables);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
    if (argc > 1 && count > 0 && std::strcmp(argv[1], "ours") == 0)
        return measure<ours>(count);
    if (argc > 1 && count > 0 && std::strcmp(argv[1], "stock") == 0)
        return measure<stock>(count);
    std::fprintf(stderr, "usage: %s ours|stock [jobs]\n", argv[0]);
    return 2;
}
