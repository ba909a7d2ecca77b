// SPDX-License-Identifier: Apache-2.0
// What a switch carries for each side, and what it leaves alone (S16): registers, the
// floating-point control words, errno, C++ exceptions, the signal mask; and backtraces.
#include <execinfo.h>
#include <pthread.h>
#include <unwind.h>

#include <bit>
#include <cerrno>
#include <cfenv>
#include <csignal>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "registers.hpp"
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

// The rounding mode, which all processors have, told by sums.
int rounding() {
    const volatile double one = 1.0;
    const volatile double minus_one = -1.0;
    const volatile double three = 3.0;
    const volatile double ten = 10.0;
    const volatile double third = one / three;
    const volatile double minus_third = minus_one / three;
    const volatile double tenth = one / ten;
    int mode = FE_TOWARDZERO;
    if (third > 1.0 / 3.0)
        mode = FE_UPWARD;
    else if (tenth == 1.0 / 10.0)
        mode = FE_TONEAREST;
    else if (minus_third < -1.0 / 3.0)
        mode = FE_DOWNWARD;
    EXPECT_EQ(std::fegetround(), mode);
#if defined(__i386__)  // where those were the x87's
    std::uint32_t mxcsr = 0;
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    EXPECT_EQ(mxcsr >> 3U & 0xc00U, static_cast<unsigned>(mode));
#endif
    return mode;
}

class Rounding : public testing::Test {
  protected:
    void SetUp() override {
        if (RUNNING_ON_VALGRIND != 0)
            GTEST_SKIP() << "Valgrind does not emulate all of the x87 control word";
    }
    ~Rounding() override { std::fesetround(FE_TONEAREST); }
};

const int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

TEST_F(Rounding, S16IsKeptForEachSide) {
    for (const int jobs : roundings) {
        for (const int starters : roundings) {
            std::fesetround(starters);
            TestJob job([jobs, starters] {
                EXPECT_EQ(rounding(), starters);
                std::fesetround(jobs);
                ASYNC_pause_job();
                EXPECT_EQ(rounding(), jobs);
                std::fesetround(starters);
                ASYNC_pause_job();
                EXPECT_EQ(rounding(), starters);
                std::fesetround(jobs);
            });
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(rounding(), starters);
            std::fesetround(FE_TONEAREST);
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(rounding(), FE_TONEAREST);
            std::fesetround(starters);
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            EXPECT_EQ(rounding(), starters);
        }
    }
}

TEST_F(Rounding, S16OfAJobThatNeverPausesIsThatOfACall) {
    TestJob job([] { std::fesetround(FE_DOWNWARD); });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(rounding(), FE_DOWNWARD);
}

TEST_F(Rounding, S16IsSharedByAThreadThatAsksForIt) {
    ASSERT_EQ(asyncjob_share_fp_mode(1), 0);
    TestJob job([] {
        std::fesetround(FE_DOWNWARD);
        ASYNC_pause_job();
        EXPECT_EQ(rounding(), FE_UPWARD);
        ASYNC_pause_job();
        EXPECT_EQ(rounding(), FE_TONEAREST) << "it was left with a shared mode, and kept none";
        std::fesetround(FE_TOWARDZERO);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(rounding(), FE_DOWNWARD);
    std::fesetround(FE_UPWARD);
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(rounding(), FE_UPWARD);
    EXPECT_EQ(asyncjob_share_fp_mode(0), 1);
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(rounding(), FE_TONEAREST);
}

#if defined(__powerpc64__) && defined(_ARCH_PWR6)

// The rounding of decimal numbers: in the half of the control word that the instruction of older
// processors leaves as it is.
constexpr unsigned decimal_bits = 32;

std::uint64_t control_word() {
    double word = 0;
    asm volatile("mffs %0" : "=d"(word));
    return std::bit_cast<std::uint64_t>(word);
}

int decimal_rounding() {
    return static_cast<int>(control_word() >> decimal_bits & 7U);
}

void set_decimal_rounding(int mode) {
    const std::uint64_t others = control_word() & ~(std::uint64_t{7} << decimal_bits);
    const std::uint64_t word = others | static_cast<std::uint64_t>(mode) << decimal_bits;
    asm volatile("mtfsf 255, %0, 1, 0" : : "d"(std::bit_cast<double>(word)));
}

class DecimalRounding : public testing::Test {
  protected:
    void SetUp() override { set_decimal_rounding(0); }
    ~DecimalRounding() override { set_decimal_rounding(0); }
};

TEST_F(DecimalRounding, S16IsKeptForEachSide) {
    set_decimal_rounding(1);
    TestJob job([] {
        EXPECT_EQ(decimal_rounding(), 1);
        set_decimal_rounding(2);
        ASYNC_pause_job();
        EXPECT_EQ(decimal_rounding(), 2);
        set_decimal_rounding(3);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(decimal_rounding(), 1);
    set_decimal_rounding(5);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(decimal_rounding(), 5);
}

TEST_F(DecimalRounding, S16OfAJobThatNeverPausesIsThatOfACall) {
    TestJob job([] { set_decimal_rounding(5); });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(decimal_rounding(), 5);
}

TEST_F(DecimalRounding, S16IsSharedByAThreadThatAsksForIt) {
    ASSERT_EQ(asyncjob_share_fp_mode(1), 0);
    TestJob job([] {
        set_decimal_rounding(2);
        ASYNC_pause_job();
        EXPECT_EQ(decimal_rounding(), 5);
        set_decimal_rounding(3);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(decimal_rounding(), 2);
    set_decimal_rounding(5);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(decimal_rounding(), 3);
    EXPECT_EQ(asyncjob_share_fp_mode(0), 1);
}

#endif  // powerpc64

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

#endif  // x86-64

#ifdef ASYNCJOB_TEST_HAS_REGISTERS

int scramble_and_pause(void*) {
    for (std::uint64_t pause = 0; pause < 2; ++pause) {
        Registers registers(0xA0 + pause);
        EXPECT_EQ(call_with(registers, ASYNC_pause_job, {}), 1);
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
            call_with(registers, ASYNC_start_job,
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

#endif

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

// A frame that an exception passes, and that only cleans up: on 32-bit Arm the runtime has a list
// of what such frames are to go on with.
struct AtEnd {
    const std::function<void()>& clean_up;
    ~AtEnd() { clean_up(); }
};

[[gnu::noinline]] void throw_past_clean_up(int thrown, const std::function<void()>& clean_up) {
    const AtEnd at_end{clean_up};
    throw thrown;
}

void expect_to_catch_own(int thrown, const std::function<void()>& clean_up) {
    const int before = std::uncaught_exceptions();
    try {
        throw_past_clean_up(thrown, clean_up);
    } catch (int caught) {
        EXPECT_EQ(caught, thrown);
    }
    EXPECT_EQ(std::uncaught_exceptions(), before);
}

TEST(Exceptions, S16PassingFramesThatOnlyCleanUpBelongToTheirSide) {
    constexpr int count = 4;
    std::vector<std::unique_ptr<TestJob>> jobs;
    for (int i = 0; i < count; ++i) {
        jobs.push_back(std::make_unique<TestJob>([i] {
            expect_to_catch_own(i, [] { ASYNC_pause_job(); });
            expect_to_catch_own(
                count + i, [i] { expect_to_catch_own(2 * count + i, [] { ASYNC_pause_job(); }); });
        }));
    }
    const auto go = [&jobs](int i, int expected) { EXPECT_EQ(jobs[i]->go(), expected); };
    for (int i = 0; i < count; ++i)
        go(i, ASYNC_PAUSE);
    for (const int i : {1, 3, 0, 2})  // and while the starter's passes one
        expect_to_catch_own(-1, [&] { go(i, ASYNC_PAUSE); });
    expect_to_catch_own(-2, [] {});
    for (const int i : {0, 2, 3, 1})
        go(i, ASYNC_FINISH);
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
#if defined(__ARM_EABI_UNWINDER__)  // where one code says both
    static constexpr _Unwind_Reason_Code stop = _URC_FAILURE;
    static constexpr _Unwind_Reason_Code at_the_end = _URC_FAILURE;
#else
    static constexpr _Unwind_Reason_Code stop = _URC_NORMAL_STOP;
    static constexpr _Unwind_Reason_Code at_the_end = _URC_END_OF_STACK;
#endif
    int frames = 0;
    _Unwind_Reason_Code end = _URC_NO_REASON;

    static Trace take() {
        Trace trace;
        trace.end = _Unwind_Backtrace(
            [](_Unwind_Context*, void* self) {
                constexpr int too_many = 100;
                return ++static_cast<Trace*>(self)->frames < too_many ? _URC_NO_REASON : stop;
            },
            &trace);
        return trace;
    }
};

TEST(Backtrace, EndsCleanlyAtTheEntryOfTheJob) {
    const auto check = [](void*) {
        for (int times = 0; times < 2; ++times) {
            const Trace trace = Trace::take();
            EXPECT_EQ(trace.end, Trace::at_the_end);
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
