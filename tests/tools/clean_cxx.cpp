// SPDX-License-Identifier: Apache-2.0
// Exceptions in jobs without a bug, through job.hpp: a tool that watches this program must have
// nothing to report. Thrown over frames on a job's stack, paused while they are handled, and
// leaving through resume(), and by a cancel.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "asyncjob/job.hpp"

namespace {

void want(bool condition, const char* what) {
    if (condition)
        return;
    std::fprintf(stderr, "clean_cxx: not so: %s\n", what);
    std::exit(3);
}

// Frames of arrays, over which the exception goes.
[[gnu::noinline]] int throw_from(int depth) {
    std::array<volatile char, 100> frame{};
    __asm__ volatile("" : : "r"(frame.data()) : "memory");
    if (depth == 0)
        throw std::runtime_error(std::string(100, 'x'));
    return throw_from(depth - 1) + frame[0];
}

std::string run(int rounds) {
    std::string said;
    for (int round = 0; round < rounds; ++round) {
        try {
            throw_from(10);
        } catch (const std::exception& error) {
            asyncjob::pause();
            said = error.what();
        }
        asyncjob::pause();
    }
    throw_from(5);
    return said;
}

bool leaves_by_exception(asyncjob::Job<std::string>& job) {
    try {
        while (!job.resume()) {
            try {
                throw_from(3);
            } catch (const std::exception&) {
            }
        }
    } catch (const std::runtime_error& error) {
        return error.what() == std::string(100, 'x');
    }
    return false;
}

}  // namespace

int main() {
    for (int round = 0; round < 20; ++round) {
        asyncjob::WaitContext wait;
        asyncjob::Job<std::string> first(wait, [] { return run(5); });
        asyncjob::Job<std::string> second(wait, [] { return run(3); });
        asyncjob::Job<std::string> cancelled(wait, [] { return run(100); });
        want(!cancelled.resume() && !second.resume(), "paused in a handler");
        want(leaves_by_exception(first), "the exception of the first job");
        want(leaves_by_exception(second), "the exception of the second job");
        // The third is cancelled by its destructor, and unwinds.
    }
}
