// SPDX-License-Identifier: Apache-2.0
// What the tests of overflows share: jobs that overflow, in a child whose last words and end are
// looked at. Header-only, over support.hpp.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "support.hpp"

// Exported, by the program's link options. Frames of less than a page, to the end of the stack.
extern "C" inline __attribute__((visibility("default"), noinline)) int overflow_test_recurses(
    int depth) {
    volatile char frame[512];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? 0 : overflow_test_recurses(depth + 1) + frame[0];
}

extern "C" inline __attribute__((visibility("default"), noinline)) void overflow_test_writes(
    char* where) {
    *const_cast<volatile char*>(where) = 1;
    __asm__ volatile("" ::: "memory");
}

namespace test {

// What a child tells its parent that dies of a signal.
struct Shared {
    ASYNC_JOB* volatile job;
    char* volatile address;
    volatile int calls;
    volatile int number;
};
inline Shared* const shared = static_cast<Shared*>(
    mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

struct Ended {
    int status = 0;
    std::string errors;
};

// qemu-user tells of a signal that ends the program.
inline testing::AssertionResult said_nothing(const Ended& ended) {
    const bool nothing =
        emulated ? ended.errors.find("asyncjob") == std::string::npos : ended.errors.empty();
    return (nothing ? testing::AssertionSuccess() : testing::AssertionFailure()) << ended.errors;
}

// Runs `body` in a child and has what it writes to stderr. A child that hangs dies of SIGALRM.
inline Ended run(const std::function<void()>& body) {
    *shared = {};
    std::fflush(nullptr);
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        alarm(100);
        const rlimit none{0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body();
        std::fflush(nullptr);
        _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    close(ends[1]);
    Ended ended;
    char text[4096];
    for (ssize_t size = 0; (size = read(ends[0], text, sizeof text)) > 0;)
        ended.errors.append(text, static_cast<std::size_t>(size));
    close(ends[0]);
    EXPECT_EQ(waitpid(child, &ended.status, 0), child);
    return ended;
}

inline testing::AssertionResult was_killed_by(const Ended& ended, int signal) {
    if (WIFSIGNALED(ended.status) && WTERMSIG(ended.status) == signal)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "status " << ended.status << "\n" << ended.errors;
}

// A sanitizer has a handler of its own, which is then the one that was there before.
inline testing::AssertionResult died_of_the_fault(const Ended& ended) {
    if (!under_asan && !under_tsan)
        return was_killed_by(ended, SIGSEGV);
    const bool reported = ended.errors.find("Sanitizer") != std::string::npos;
    if (reported && !(WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 0))
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "status " << ended.status << "\n" << ended.errors;
}

inline testing::AssertionResult exited_with(const Ended& ended, int code) {
    if (WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == code)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "status " << ended.status << "\n" << ended.errors;
}

// The library's lines.
inline std::vector<std::string> reports(const Ended& ended) {
    std::vector<std::string> lines;
    std::istringstream all(ended.errors);
    for (std::string line; std::getline(all, line);) {
        if (line.rfind("asyncjob: ", 0) == 0)
            lines.push_back(line);
    }
    return lines;
}

// What a signal says of a fault at `address`: on s390x the page alone.
inline char* as_signals_say(char* address) {
#ifdef __s390x__
    return address - reinterpret_cast<std::uintptr_t>(address) % 4096;
#else
    return address;
#endif
}

inline std::string hex(const volatile void* address) {
    std::ostringstream text;
    text << const_cast<const void*>(address);
    return text.str();
}

// The values of a line by their names; "what" is what it begins with.
inline std::map<std::string, std::string> fields_of(const std::string& line) {
    std::map<std::string, std::string> fields;
    fields["what"] = line.substr(0, line.find("job="));
    std::istringstream words(line);
    for (std::string word; words >> word;) {
        if (word.find('=') != std::string::npos)
            fields[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    }
    return fields;
}

// Fails if there is anything else than the two lines of one overflow of `job`; gives its fields.
inline std::map<std::string, std::string> overflow_of(const Ended& ended, const std::string& job) {
    const std::vector<std::string> lines = reports(ended);
    if (lines.size() != 2) {
        ADD_FAILURE() << lines.size() << " lines:\n" << ended.errors;
        return {};
    }
    auto fields = fields_of(lines[0]);
    EXPECT_EQ(fields["what"], "asyncjob: stack overflow: ") << lines[0];
    EXPECT_EQ(fields["job"], job);
    EXPECT_NE(lines[1].find("to enlarge"), std::string::npos) << lines[1];
    return fields;
}

inline std::map<std::string, std::string> stray_access_to(const Ended& ended,
                                                          const std::string& job) {
    const std::vector<std::string> lines = reports(ended);
    if (lines.size() != 1) {
        ADD_FAILURE() << lines.size() << " lines:\n" << ended.errors;
        return {};
    }
    auto fields = fields_of(lines[0]);
    EXPECT_EQ(fields["what"], "asyncjob: no overflow, but a stray access: to the guard of ");
    EXPECT_EQ(fields["job"], job + ",");
    return fields;
}

inline void overflow_here() {
    shared->job = ASYNC_get_current_job();
    overflow_test_recurses(1);
}

inline void overflow_in_a_job() {
    TestJob job(overflow_here);
    job.go();
}

// Stacks of 96 KiB, some lines and a page: this far below a job's first frame is in its guard.
inline constexpr std::size_t to_the_guard = 112 * kib;

// In a job's function, before it calls others.
#define ADDRESS_IN_GUARD (static_cast<char*>(__builtin_frame_address(0)) - to_the_guard)

inline void set_handler(void (*handler)(int, siginfo_t*, void*), int flags = 0, int blocked = 0) {
    struct sigaction action {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | flags;
    if (blocked != 0)
        sigaddset(&action.sa_mask, blocked);
    EXPECT_EQ(sigaction(SIGSEGV, &action, nullptr), 0);
}

inline void set_simple_handler(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    EXPECT_EQ(sigaction(SIGSEGV, &action, nullptr), 0);
}

inline struct sigaction current_action() {
    struct sigaction action {};
    EXPECT_EQ(sigaction(SIGSEGV, nullptr, &action), 0);
    return action;
}

inline stack_t signal_stack() {
    stack_t stack{};
    EXPECT_EQ(sigaltstack(nullptr, &stack), 0);
    return stack;
}

class Overflow : public testing::Test {
  protected:
    void SetUp() override {
        if (RUNNING_ON_VALGRIND != 0)
            GTEST_SKIP() << "the tool takes the fault";
    }
    static void install() { EXPECT_EQ(asyncjob_install_overflow_handler(), 1); }
    // Of a job by a function that calls itself until its stack ends.
    static void expect_overflow_by(int (*recurse)(int depth)) {
        const Ended ended = run([recurse] {
            install();
            TestJob job([recurse] {
                shared->job = ASYNC_get_current_job();
                recurse(1);
            });
            job.go();
        });
        EXPECT_TRUE(died_of_the_fault(ended));
        overflow_of(ended, hex(shared->job));
    }
};

}  // namespace test
