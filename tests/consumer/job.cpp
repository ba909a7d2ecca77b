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
    if (pauses == 1)
        std::printf("consumer: %d\n", job.result());
    return 0;
}
