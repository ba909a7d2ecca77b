// SPDX-License-Identifier: Apache-2.0
// Prints what a paused job costs in memory: bytes of this process that became resident, and
// of its page tables, for each of many jobs that do nothing but pause. One library in each
// run: `memory ours` or `memory stock`, with the number of jobs behind.
//
// Next layer down: api.hpp, and /proc.
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

template <const Api& api>
int pause_once(void* /*args*/) {
    api.pause_job();
    return 0;
}

template <const Api& api>
bool start(ASYNC_JOB*& job, ASYNC_WAIT_CTX* wait) {
    int result = 0;
    return api.start_job(&job, wait, &result, pause_once<api>, nullptr, 0) == ASYNC_PAUSE;
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
    if (wait == nullptr || !start<api>(first, wait)) {
        std::fprintf(stderr, "memory: the first job did not start\n");
        return 1;
    }

    const Use before = Use::now();
    for (ASYNC_JOB*& job : jobs) {
        if (!start<api>(job, wait)) {
            std::fprintf(stderr, "memory: a job did not start\n");
            return 1;
        }
    }
    const Use after = Use::now();
    const auto each = [count](long long from, long long to) {
        return static_cast<double>(to - from) / static_cast<double>(count);
    };
    std::printf("resident %.0f\npage-tables %.0f\n", each(before.resident, after.resident),
                each(before.tables, after.tables));
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
