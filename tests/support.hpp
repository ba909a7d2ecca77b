// SPDX-License-Identifier: Apache-2.0
// What the tests share: jobs from lambdas, tests in a child process, a look at the process's
// memory. Header-only, over the public headers alone.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include "asyncjob/async.h"
#include "asyncjob/control.h"
#include "tools.hpp"

namespace test {

// A job whose function is a lambda, and the variables that its starter keeps.
class TestJob {
  public:
    template <typename Body>
    explicit TestJob(Body body, ASYNC_WAIT_CTX* wait = nullptr) : wait_(wait) {
        if constexpr (std::is_void_v<decltype(body())>) {
            body_ = [body]() mutable {
                body();
                return 0;
            };
        } else {
            body_ = std::move(body);
        }
    }
    TestJob(const TestJob&) = delete;
    TestJob& operator=(const TestJob&) = delete;

    // Starts the job, or resumes it.
    int go() {
        TestJob* self = this;
        return ASYNC_start_job(&handle, wait_, &result, enter, &self, sizeof(self));
    }

    ASYNC_JOB* handle = nullptr;
    int result = -1;

  private:
    static int enter(void* args) { return (*static_cast<TestJob**>(args))->body_(); }

    std::function<int()> body_;
    ASYNC_WAIT_CTX* wait_;
};

inline int return_seven(void*) {
    return 7;
}

inline int pause_once(void*) {
    EXPECT_EQ(ASYNC_pause_job(), 1);
    return 7;
}

// Runs one plain job to its end: the sign that the thread's jobs are in order.
inline void expect_jobs_work() {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0), ASYNC_FINISH);
    EXPECT_EQ(job, nullptr);
    EXPECT_EQ(result, 7);
}

// Runs `body` in a forked child: for what a process can do only once, or may die of. Fails
// if the child dies of a signal, has a failed expectation, or is not done in time.
inline testing::AssertionResult passes_in_child(const std::function<void()>& body) {
    constexpr unsigned seconds = 240;
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        alarm(seconds);
        body();
        std::fflush(nullptr);
        _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return testing::AssertionFailure() << "no child: " << std::strerror(errno);
    if (WIFSIGNALED(status))
        return testing::AssertionFailure() << "the child died: " << strsignal(WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return testing::AssertionFailure() << "the child ended with " << WEXITSTATUS(status);
    return testing::AssertionSuccess();
}

// What the process holds at this moment.
struct Memory {
    std::size_t mappings = 0;
    std::size_t address_space = 0;  // bytes
    std::size_t resident = 0;       // bytes

    static Memory now() {
        Memory memory;
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);)
            ++memory.mappings;
        std::size_t pages = 0;
        std::size_t resident_pages = 0;
        std::ifstream("/proc/self/statm") >> pages >> resident_pages;
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        memory.address_space = pages * page;
        memory.resident = resident_pages * page;
        return memory;
    }
};

inline constexpr std::size_t kib = 1024;
inline constexpr std::size_t mib = 1024 * kib;

// Bytes of a guard, as asyncjob_init_thread(3) says; where pages are smaller.
#ifdef __aarch64__
inline constexpr std::size_t guard_size = 64 * kib;
#else
inline constexpr std::size_t guard_size = 32 * kib;
#endif

}  // namespace test
