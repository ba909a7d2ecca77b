// SPDX-License-Identifier: Apache-2.0
// The least that a user in C++20 does.
#include <asyncjob/job.hpp>
#include <cstdio>

int main() {
    asyncjob::WaitContext wait;
    auto job = asyncjob::make_job(wait, [] {
        asyncjob::pause();
        return 42;
    });
    int pauses = 0;
    while (!job.resume())
        ++pauses;
    // Not the function of libasyncjob.a that has the same name and returns what is wrong.
    try {
        asyncjob::init_thread(1, 2);
        return 1;
    } catch (const std::system_error&) {
    }
    if (pauses == 1)
        std::printf("consumer: %d\n", job.result());
    return 0;
}
