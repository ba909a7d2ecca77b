// SPDX-License-Identifier: Apache-2.0
// What a switch carries for each side, and what it leaves alone (S16): registers, the
// floating-point control words, errno, C++ exceptions, the signal mask; and backtraces.
#include <execinfo.h>
#include <pthread.h>
#include <unwind.h>

#include <cerrno>
#include <cfenv>
#include <csignal>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

TEST(ErrorNumber, S16IsKeptForEachSideOfAPause) {
    expect_jobs_work();
    TestJob job([] {
        errno = 11;
        ASYNC_pause_job();
        EXPECT_EQ(errno, 11);
        errno = 12;
        ASYNC_pause_job();
        EXPECT_EQ(errno, 12);
    });
    errno = 21;
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(errno, 21);
    errno = 22;
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(errno, 22);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

// A finish is a return: callers of SSL_read() look at errno after it.
TEST(ErrorNumber, S16OfAFunctionThatFinishesIsItsCallers) {
    TestJob at_once([] { errno = 31; });
    errno = 41;
    EXPECT_EQ(at_once.go(), ASYNC_FINISH);
    EXPECT_EQ(errno, 31);

    TestJob after_a_pause([] {
        ASYNC_pause_job();
        errno = 32;
    });
    EXPECT_EQ(after_a_pause.go(), ASYNC_PAUSE);
    errno = 42;
    EXPECT_EQ(after_a_pause.go(), ASYNC_FINISH);
    EXPECT_EQ(errno, 32);
}

TEST(ErrorNumber, S16OfAFunctionThatFinishesSurvivesTheEndOfItsJob) {
    // The job's stack is unmapped, its arguments are freed.
    ASYNC_JOB* job = nullptr;
    int result = 0;
    std::vector<char> args(100 * kib);
    const auto cleanup_and_set = [](void*) {
        ASYNC_cleanup_thread();
        errno = 33;
        return 0;
    };
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, cleanup_and_set, args.data(), args.size()),
              ASYNC_FINISH);
    EXPECT_EQ(errno, 33);
}

TEST(ErrorNumber, S16OfTheStarterIsTheJobsAtItsStart) {
    ASYNC_cleanup_thread();  // so that the job is made by this start
    for (int times = 0; times < 2; ++times) {
        int seen = 0;
        TestJob job([&] { seen = errno; });
        errno = 51;
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(seen, 51);
    }
}

TEST(SignalMask, S16BelongsToTheThreadAndIsNeverTouched) {
    const auto change = [](int how, int number) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, number);
        pthread_sigmask(how, &set, nullptr);
    };
    const auto blocked = [](int number) {
        sigset_t set;
        pthread_sigmask(SIG_BLOCK, nullptr, &set);
        return sigismember(&set, number) == 1;
    };
    for (int times = 0; times < 2; ++times) {  // a job's first run, and a later one
        change(SIG_BLOCK, SIGUSR1);
        TestJob job([&] {
            EXPECT_TRUE(blocked(SIGUSR1));
            change(SIG_UNBLOCK, SIGUSR1);
            change(SIG_BLOCK, SIGUSR2);
            ASYNC_pause_job();
            EXPECT_TRUE(blocked(SIGUSR1)) << "set while the job was paused";
            EXPECT_FALSE(blocked(SIGUSR2));
            change(SIG_BLOCK, SIGWINCH);
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_FALSE(blocked(SIGUSR1));
        EXPECT_TRUE(blocked(SIGUSR2));
        change(SIG_BLOCK, SIGUSR1);
        change(SIG_UNBLOCK, SIGUSR2);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_TRUE(blocked(SIGUSR1));
        EXPECT_FALSE(blocked(SIGUSR2));
        EXPECT_TRUE(blocked(SIGWINCH)) << "set by the job before it finished";
        change(SIG_UNBLOCK, SIGUSR1);
        change(SIG_UNBLOCK, SIGWINCH);
    }
}

#if defined(__x86_64__)

// The control words, and a sum whose result tells the rounding that is really in force.
struct Mode {
    std::uint32_t mxcsr;
    std::uint16_t x87;

    static Mode now() {
        Mode mode{};
        asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mode.mxcsr), "=m"(mode.x87));
        mode.mxcsr &= ~0x3fU;  // flags, which a call does not keep
        return mode;
    }
    void set() const { asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87)); }
    bool operator==(const Mode&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Mode& mode) {
    return out << std::hex << "mxcsr " << mode.mxcsr << " x87 " << mode.x87 << std::dec;
}

const Mode usual{0x1f80, 0x37f};
const Mode down{0x1f80 | 0x2000, 0x37f | 0x400};
const Mode up{0x1f80 | 0x4000, 0x37f | 0x800};
const Mode toward_zero_flushed{0x1f80 | 0x6000 | 0x8000, 0x37f | 0xc00};
const Mode sse_only{0x1f80 | 0x2000, 0x37f};
const Mode x87_only{0x1f80, 0x27f | 0x800};

class FloatingPointMode : public testing::Test {
  protected:
    void SetUp() override {
        if (RUNNING_ON_VALGRIND != 0)
            GTEST_SKIP() << "Valgrind does not emulate all of the x87 control word";
        usual.set();
    }
    ~FloatingPointMode() override { usual.set(); }
};

TEST_F(FloatingPointMode, S16IsKeptForEachSide) {
    for (const Mode jobs : {down, up, toward_zero_flushed, sse_only, x87_only}) {
        for (const Mode starters : {usual, up, sse_only, x87_only}) {
            starters.set();
            TestJob job([jobs, starters] {
                EXPECT_EQ(Mode::now(), starters) << "a job begins with its starter's mode";
                jobs.set();
                ASYNC_pause_job();
                EXPECT_EQ(Mode::now(), jobs);
                starters.set();
                ASYNC_pause_job();
                EXPECT_EQ(Mode::now(), starters);
                jobs.set();
            });
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(Mode::now(), starters);
            usual.set();
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(Mode::now(), usual);
            starters.set();
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            EXPECT_EQ(Mode::now(), starters) << "the job finished in another mode";
        }
    }
}

// A job that never pauses has not been switched between sides: it is as a call, whose function
// gives the words back by the ABI, or means to change them as fesetround() does.
TEST_F(FloatingPointMode, S16OfAJobThatNeverPausesIsThatOfACall) {
    TestJob job([] { down.set(); });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(Mode::now(), down);
    usual.set();
    TestJob destroyed([] {
        down.set();
        ASYNC_cleanup_thread();
    });
    EXPECT_EQ(destroyed.go(), ASYNC_FINISH);
    EXPECT_EQ(Mode::now(), down);
    usual.set();
}

TEST_F(FloatingPointMode, S16RoundsAsTheModeSays) {
    volatile double three = 3.0;
    volatile long double long_three = 3.0L;
    const double nearest = 1.0 / three;
    TestJob job([&] {
        std::fesetround(FE_UPWARD);
        ASYNC_pause_job();
        EXPECT_GT(1.0 / three, nearest);
        EXPECT_GT(1.0L / long_three * 3.0L, 1.0L);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(1.0 / three, nearest);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(1.0 / three, nearest);
}

TEST_F(FloatingPointMode, S16OfNestedJobsAreEachTheirOwn) {
    TestJob outer([] {
        down.set();
        TestJob inner([] {
            EXPECT_EQ(Mode::now(), down);
            up.set();
            ASYNC_pause_job();
            EXPECT_EQ(Mode::now(), up);
        });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        EXPECT_EQ(Mode::now(), down);
        ASYNC_pause_job();
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        EXPECT_EQ(Mode::now(), down);
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(Mode::now(), usual);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
    EXPECT_EQ(Mode::now(), usual);
}

TEST_F(FloatingPointMode, S16IsSharedByAThreadThatAsksForIt) {
    EXPECT_EQ(asyncjob_share_fp_mode(1), 0);
    EXPECT_EQ(asyncjob_share_fp_mode(1), 1);
    TestJob job([] {
        EXPECT_EQ(Mode::now(), usual);
        down.set();
        ASYNC_pause_job();
        EXPECT_EQ(Mode::now(), up);
        x87_only.set();
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(Mode::now(), down);
    up.set();
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(Mode::now(), x87_only);
    usual.set();
    TestJob at_once([] { sse_only.set(); });
    EXPECT_EQ(at_once.go(), ASYNC_FINISH);
    EXPECT_EQ(Mode::now(), sse_only);
    usual.set();
    TestJob destroyed([] {
        up.set();
        ASYNC_cleanup_thread();
    });
    EXPECT_EQ(destroyed.go(), ASYNC_FINISH);
    EXPECT_EQ(Mode::now(), up);
    EXPECT_EQ(asyncjob_share_fp_mode(0), 1);
}

TEST_F(FloatingPointMode, S16SharingIsTheThreadsOwnAndMayChangeWhileAJobIsPaused) {
    TestJob job([] {
        down.set();
        ASYNC_pause_job();
        EXPECT_EQ(Mode::now(), up) << "the resume shares";
        ASYNC_pause_job();
        EXPECT_EQ(Mode::now(), usual) << "it was left with a shared mode, and kept none";
        ASYNC_pause_job();
        EXPECT_EQ(Mode::now(), usual) << "the resume does not share";
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(Mode::now(), usual);
    EXPECT_EQ(asyncjob_share_fp_mode(1), 0);
    up.set();
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(Mode::now(), up);
    EXPECT_EQ(asyncjob_share_fp_mode(0), 1);
    usual.set();
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    up.set();
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(Mode::now(), up);
}

// rbx, rbp, r12 to r15: sets them to `in`, calls function(args[0], ..., args[5]) and
// stores them to `out`. Returns what the function returns.
extern "C" int asyncjob_test_call_with_registers(void* function, const std::uint64_t in[6],
                                                 std::uint64_t out[6], const void* args[6]);
asm(R"(
        .text
        .type   asyncjob_test_call_with_registers, @function
asyncjob_test_call_with_registers:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        pushq   %rdx
        .cfi_adjust_cfa_offset 8
        movq    %rdi, %rax
        movq    %rcx, %r10
        movq    0(%rsi), %rbx
        movq    8(%rsi), %rbp
        movq    16(%rsi), %r12
        movq    24(%rsi), %r13
        movq    32(%rsi), %r14
        movq    40(%rsi), %r15
        movq    0(%r10), %rdi
        movq    8(%r10), %rsi
        movq    16(%r10), %rdx
        movq    24(%r10), %rcx
        movq    32(%r10), %r8
        movq    40(%r10), %r9
        call    *%rax
        movq    (%rsp), %rdx
        movq    %rbx, 0(%rdx)
        movq    %rbp, 8(%rdx)
        movq    %r12, 16(%rdx)
        movq    %r13, 24(%rdx)
        movq    %r14, 32(%rdx)
        movq    %r15, 40(%rdx)
        popq    %rdx
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        popq    %r14
        .cfi_adjust_cfa_offset -8
        popq    %r13
        .cfi_adjust_cfa_offset -8
        popq    %r12
        .cfi_adjust_cfa_offset -8
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   asyncjob_test_call_with_registers, . - asyncjob_test_call_with_registers
)");

struct Registers {
    std::uint64_t values[6];
    explicit Registers(std::uint64_t pattern) {
        for (std::uint64_t i = 0; i < 6; ++i)
            values[i] = pattern * 0x0101010101010101U + i;
    }
    bool operator==(const Registers&) const = default;
};

int call_with(Registers& registers, void* function, std::vector<const void*> args) {
    args.resize(6);
    const Registers in = registers;
    return asyncjob_test_call_with_registers(function, in.values, registers.values, args.data());
}

int scramble_and_pause(void*) {
    for (std::uint64_t pause = 0; pause < 2; ++pause) {
        Registers registers(0xA0 + pause);
        EXPECT_EQ(call_with(registers, reinterpret_cast<void*>(ASYNC_pause_job), {}), 1);
        EXPECT_EQ(registers, Registers(0xA0 + pause));
    }
    return 0;
}

TEST(Registers, S16CalleeSavedAreKeptForEachSide) {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    const auto go = [&](std::uint64_t pattern) {
        Registers registers(pattern);
        const int status =
            call_with(registers, reinterpret_cast<void*>(ASYNC_start_job),
                      {&job, nullptr, &result, reinterpret_cast<void*>(scramble_and_pause)});
        EXPECT_EQ(registers, Registers(pattern));
        return status;
    };
    for (int times = 0; times < 2; ++times) {
        EXPECT_EQ(go(0x11), ASYNC_PAUSE);
        EXPECT_EQ(go(0x22), ASYNC_PAUSE);
        EXPECT_EQ(go(0x33), ASYNC_FINISH);
        ASYNC_cleanup_thread();
    }
}

#endif  // x86-64

// A pause inside a catch block on both sides; several jobs interleave.
TEST(Exceptions, S16CaughtOnesBelongToTheirSide) {
    constexpr int count = 5;
    std::vector<std::unique_ptr<TestJob>> jobs;
    for (int i = 0; i < count; ++i) {
        jobs.push_back(std::make_unique<TestJob>([i] {
            EXPECT_EQ(std::current_exception(), nullptr);
            try {
                throw i;
            } catch (int) {
                ASYNC_pause_job();
                try {
                    throw;
                } catch (int caught) {
                    EXPECT_EQ(caught, i);
                    ASYNC_pause_job();
                }
                try {
                    std::rethrow_exception(std::current_exception());
                } catch (int caught) {
                    EXPECT_EQ(caught, i);
                }
            }
            EXPECT_EQ(std::current_exception(), nullptr);
        }));
    }
    for (int round = 0; round < 3; ++round) {
        try {
            throw std::runtime_error("the starter's");
        } catch (const std::runtime_error&) {
            for (const int i : {3, 0, 4, 1, 2}) {
                EXPECT_EQ(jobs[i]->go(), round < 2 ? ASYNC_PAUSE : ASYNC_FINISH);
                try {
                    throw;
                } catch (const std::runtime_error& caught) {
                    EXPECT_STREQ(caught.what(), "the starter's");
                }
            }
        }
        EXPECT_EQ(std::current_exception(), nullptr);
    }
}

TEST(Exceptions, S16InFlightAreCountedForTheirSideOnly) {
    struct StartsAJob {
        TestJob& job;
        ~StartsAJob() {
            EXPECT_EQ(std::uncaught_exceptions(), 1);
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(std::uncaught_exceptions(), 1);
        }
    };
    struct Pauses {
        ~Pauses() {
            EXPECT_EQ(std::uncaught_exceptions(), 1);
            ASYNC_pause_job();
            EXPECT_EQ(std::uncaught_exceptions(), 1);
        }
    };
    TestJob job([] {
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        ASYNC_pause_job();
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        try {
            const Pauses pauses;
            throw 1;
        } catch (int) {
        }
        EXPECT_EQ(std::uncaught_exceptions(), 0);
    });
    try {
        const StartsAJob starts{job};
        throw 1;
    } catch (int) {
    }
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(std::uncaught_exceptions(), 0) << "the job's reached its starter";
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(std::uncaught_exceptions(), 0);
}

TEST(Exceptions, S16ThrownAndCaughtInAJobWhileTheStarterHandlesOne) {
    try {
        throw 1;
    } catch (int) {
        TestJob job([] {
            EXPECT_EQ(std::current_exception(), nullptr);
            std::string text;
            try {
                throw std::runtime_error("inner");
            } catch (const std::exception& caught) {
                text = caught.what();
            }
            EXPECT_EQ(text, "inner");
        });
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_NE(std::current_exception(), nullptr);
    }
    EXPECT_EQ(std::current_exception(), nullptr);
}

struct Trace {
    int frames = 0;
    _Unwind_Reason_Code end = _URC_NO_REASON;

    static Trace take() {
        Trace trace;
        trace.end = _Unwind_Backtrace(
            [](_Unwind_Context*, void* self) {
                constexpr int too_many = 100;
                return ++static_cast<Trace*>(self)->frames < too_many ? _URC_NO_REASON
                                                                      : _URC_NORMAL_STOP;
            },
            &trace);
        return trace;
    }
};

TEST(Backtrace, EndsCleanlyAtTheEntryOfTheJob) {
    const auto check = [](void*) {
        for (int times = 0; times < 2; ++times) {
            const Trace trace = Trace::take();
            EXPECT_EQ(trace.end, _URC_END_OF_STACK);
            EXPECT_GE(trace.frames, 2);
            EXPECT_LE(trace.frames, 10) << "went on into the starter";
            void* addresses[100];
            const int count = backtrace(addresses, 100);
            EXPECT_GE(count, 2);
            EXPECT_LE(count, 10);
            ASYNC_pause_job();  // the second time in a job that was resumed
        }
        return 0;
    };
    ASYNC_JOB* job = nullptr;
    int result = 0;
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, check, nullptr, 0), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, check, nullptr, 0), ASYNC_PAUSE);
    EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, check, nullptr, 0), ASYNC_FINISH);
}

}  // namespace
}  // namespace test
