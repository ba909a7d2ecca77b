// SPDX-License-Identifier: Apache-2.0
// asyncjob_install_overflow_handler(): what is said of an overflow, of a stray access to a guard,
// and of nothing else. Every fault is a real one, in a child.
#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include <barrier>
#include <thread>

#include "overflowing.hpp"

namespace {

std::function<void()> in_constructor;

}  // namespace

// Called by the plugin's constructor, while the loader's lock is held by its thread.
extern "C" __attribute__((visibility("default"))) void asyncjob_test_in_constructor() {
    in_constructor();
}

extern "C" int overflow_test_probes(int depth);

namespace test {
namespace {

TEST_F(Overflow, IsReportedWithJobSizesAndFunctionAndThenKillsAsEver) {
    const Ended ended = run([] {
        install();
        shared->number = static_cast<int>(syscall(SYS_gettid));
        overflow_in_a_job();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    auto fields = overflow_of(ended, hex(shared->job));
    EXPECT_EQ(fields["stack"], std::to_string(96 * kib));
    EXPECT_EQ(fields["guard"], std::to_string(guard_size));
    EXPECT_EQ(fields["thread"], std::to_string(shared->number));
    EXPECT_EQ(fields["symbol"].substr(0, 25), "overflow_test_recurses+0x") << ended.errors;
    const auto at = std::stoull(fields["at"], nullptr, 16);
    const auto function = reinterpret_cast<std::uintptr_t>(&overflow_test_recurses);
    EXPECT_EQ(std::stoull(fields["symbol"].substr(25), nullptr, 16), at - function);
    EXPECT_NE(ended.errors.find("stack_size in asyncjob_thread_options"), std::string::npos);
}

TEST_F(Overflow, TellsTheSizeThatTheThreadHasSet) {
    const Ended ended = run([] {
        install();
        asyncjob_thread_options options;
        asyncjob_options_default(&options, sizeof options);
        options.stack_size = 300 * kib;
        EXPECT_EQ(asyncjob_init_thread(&options), 1);
        overflow_in_a_job();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    EXPECT_EQ(overflow_of(ended, hex(shared->job))["stack"], std::to_string(304 * kib));
}

TEST_F(Overflow, IsToldOfAJobThatHasPausedBeforeAmongOthers) {
    const Ended ended = run([] {
        install();
        TestJob before([] { ASYNC_pause_job(); });
        TestJob job([] {
            ASYNC_pause_job();
            overflow_here();
        });
        TestJob behind([] { ASYNC_pause_job(); });
        EXPECT_EQ(before.go(), ASYNC_PAUSE);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(behind.go(), ASYNC_PAUSE);
        job.go();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    overflow_of(ended, hex(shared->job));
}

TEST_F(Overflow, OfANestedJobIsItsOwn) {
    const Ended inner = run([] {
        install();
        TestJob outer(overflow_in_a_job);
        outer.go();
    });
    EXPECT_TRUE(died_of_the_fault(inner));
    overflow_of(inner, hex(shared->job));

    const Ended outer = run([] {
        install();
        TestJob job([] {
            TestJob nested([] { ASYNC_pause_job(); });
            EXPECT_EQ(nested.go(), ASYNC_PAUSE);
            overflow_here();
        });
        job.go();
    });
    EXPECT_TRUE(died_of_the_fault(outer));
    overflow_of(outer, hex(shared->job));
}

// A hook runs on the stack of the job that starts another, which is the current one by then.
TEST_F(Overflow, InASwitchHookIsThatOfTheJobWhoseStackItIs) {
    const Ended ended = run([] {
        install();
        EXPECT_EQ(asyncjob_add_switch_hooks(
                      [](ASYNC_JOB* job, void*) {
                          if (shared->job != nullptr && job != shared->job)
                              overflow_test_recurses(1);
                      },
                      nullptr, nullptr),
                  1);
        TestJob outer([] {
            shared->job = ASYNC_get_current_job();
            TestJob nested([] {});
            nested.go();
        });
        outer.go();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    overflow_of(ended, hex(shared->job));
}

int with_frames_of_many_pages(int depth) {
    volatile char frame[20 * kib];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? 0 : with_frames_of_many_pages(depth + 1) + frame[0];
}

TEST_F(Overflow, ByFramesOfManyPagesIsOne) {
    expect_overflow_by(with_frames_of_many_pages);
}

// The function is in a file of its own, for its option.
TEST_F(Overflow, ByFramesThatAreProbedIsOne) {
    expect_overflow_by(overflow_test_probes);
}

// The stack pointer is below the guard when the frame is first written to, in its middle; a call
// before that would be below, too, and not in the guard.
[[gnu::noinline]] void write_in_a_large_frame(char* where) {
    volatile char frame[140 * kib];
    __asm__ volatile("" : : "r"(frame) : "memory");
    *const_cast<volatile char*>(where) = 1;
    __asm__ volatile("" : : "r"(frame) : "memory");
}

TEST_F(Overflow, ByAFrameLargerThanTheGuardThatTouchesItIsOne) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool has functions call it";
    const Ended ended = run([] {
        install();
        TestJob job([] {
            shared->job = ASYNC_get_current_job();
            write_in_a_large_frame(ADDRESS_IN_GUARD);
        });
        job.go();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    overflow_of(ended, hex(shared->job));
}

TEST_F(Overflow, OnAThreadThatComesLaterIsReported) {
    const Ended ended = run([] {
        install();
        std::thread([] { overflow_in_a_job(); }).join();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    overflow_of(ended, hex(shared->job));
}

// Such a thread is told of the handler when it makes a job, or asks for it.
TEST_F(Overflow, OnAThreadThatHadJobsBeforeIsReportedOnceItMakesAnotherOrAsks) {
    for (const int way : {0, 1}) {
        const Ended ended = run([way] {
            std::barrier both(2);
            std::thread other([&both, way] {
                expect_jobs_work();
                both.arrive_and_wait();
                both.arrive_and_wait();
                if (way == 0)
                    install();
                TestJob first(overflow_here);
                TestJob idle([&first] { first.go(); });
                way == 0 ? first.go() : idle.go();
            });
            both.arrive_and_wait();
            install();
            both.arrive_and_wait();
            other.join();
        });
        EXPECT_TRUE(died_of_the_fault(ended));
        overflow_of(ended, hex(shared->job));
    }
}

TEST_F(Overflow, OnAThreadWithoutASignalStackKillsWithoutAReport) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "all threads have a signal stack there";
    const Ended ended = run([] {
        expect_jobs_work();
        std::thread([] { install(); }).join();
        overflow_in_a_job();
    });
    EXPECT_TRUE(was_killed_by(ended, SIGSEGV));
    EXPECT_TRUE(said_nothing(ended));
}

TEST_F(Overflow, InTheChildOfAForkIsReported) {
    const Ended ended = run([] {
        install();
        TestJob job([] {
            ASYNC_pause_job();
            overflow_here();
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        const pid_t child = fork();
        if (child == 0)
            job.go();
        int status = 0;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(job.handle == nullptr, false);
        if (WIFSIGNALED(status))
            raise(WTERMSIG(status));
        _exit(WEXITSTATUS(status));
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    overflow_of(ended, hex(shared->job));
}

TEST_F(Overflow, OfAStackOfTheUsersFunctionsNamesThem) {
    static ASYNC_stack_alloc_fn allocate = nullptr;
    static ASYNC_stack_free_fn release = nullptr;
    const Ended ended = run([] {
        ASYNC_get_mem_functions(&allocate, &release);
        EXPECT_EQ(ASYNC_set_mem_functions([](std::size_t* size) { return allocate(size); },
                                          [](void* stack) { release(stack); }),
                  1);
        install();
        TestJob outer(overflow_in_a_job);
        outer.go();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    auto fields = overflow_of(ended, hex(shared->job));
    EXPECT_EQ(fields["stack"], std::to_string(96 * kib + guard_size));
    EXPECT_EQ(fields["guard"], "-");
    EXPECT_NE(ended.errors.find("ASYNC_set_mem_functions()"), std::string::npos);
}

// A function that is not exported.
[[gnu::noinline]] int recurses_unseen(int depth) {
    volatile char frame[512];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? 0 : recurses_unseen(depth + 1) + frame[0];
}

TEST_F(Overflow, InAFunctionWithoutANameIsToldByFileAndOffset) {
    const Ended ended = run([] {
        install();
        TestJob job([] {
            shared->job = ASYNC_get_current_job();
            recurses_unseen(1);
        });
        job.go();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    auto fields = overflow_of(ended, hex(shared->job));
    std::uintptr_t base = 1;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {  // the program is the first
            *static_cast<std::uintptr_t*>(data) = info->dlpi_addr;
            return 1;
        },
        &base);
    std::ostringstream expected;
    expected << reinterpret_cast<const char*>(getauxval(AT_EXECFN)) << "+0x" << std::hex
             << std::stoull(fields["at"], nullptr, 16) - base;
    EXPECT_EQ(fields["symbol"], expected.str());
}

// The loader's lock is held for long: nobody must wait for it.
TEST_F(Overflow, WhileAnotherThreadIsInTheLoaderIsReported) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool's own report waits for the loader";
    const Ended ended = run([] {
        install();
        expect_jobs_work();
        std::barrier both(2);
        in_constructor = [&both] {
            both.arrive_and_wait();
            both.arrive_and_wait();  // never
        };
        std::thread other([] { dlopen(LOADER_PLUGIN, RTLD_NOW); });
        both.arrive_and_wait();
        overflow_in_a_job();
    });
    EXPECT_TRUE(was_killed_by(ended, SIGSEGV));
    EXPECT_EQ(overflow_of(ended, hex(shared->job))["symbol"].substr(0, 25),
              "overflow_test_recurses+0x");
}

// A constructor runs under the loader's lock, which the installation waits for, too.
TEST_F(Overflow, IsHandledThoughTheFirstJobIsInAConstructorMeanwhile) {
    const Ended ended = run([] {
        std::barrier both(2);
        in_constructor = [&both] {
            both.arrive_and_wait();
            usleep(100000);  // the other thread waits for the loader by then, most likely
            install();
            overflow_in_a_job();
        };
        std::thread other([] { dlopen(LOADER_PLUGIN, RTLD_NOW); });
        both.arrive_and_wait();
        install();
        other.join();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    overflow_of(ended, hex(shared->job));
}

TEST_F(Overflow, NothingIsInstalledUnlessSomebodyAsks) {
    EXPECT_TRUE(passes_in_child([] {
        const struct sigaction before = current_action();
        const stack_t stack_before = signal_stack();
        EXPECT_EQ(ASYNC_init_thread(0, 3), 1);
        expect_jobs_work();
        ASYNC_cleanup_thread();
        const struct sigaction after = current_action();
        EXPECT_EQ(before.sa_sigaction, after.sa_sigaction);
        EXPECT_EQ(before.sa_flags, after.sa_flags);
        for (int signal = 1; signal < SIGRTMAX; ++signal)
            EXPECT_EQ(sigismember(&before.sa_mask, signal), sigismember(&after.sa_mask, signal));
        const stack_t stack_after = signal_stack();
        EXPECT_EQ(stack_before.ss_sp, stack_after.ss_sp);
        EXPECT_EQ(stack_before.ss_flags, stack_after.ss_flags);
        EXPECT_EQ(stack_before.ss_size, stack_after.ss_size);
    }));
    const Ended ended = run(overflow_in_a_job);
    EXPECT_TRUE(died_of_the_fault(ended));
    EXPECT_TRUE(reports(ended).empty()) << ended.errors;
}

// Stray accesses.

TEST_F(Overflow, IsNotWhatCodeOutsideJobsDoesToTheGuardOfAPausedOne) {
    const Ended ended = run([] {
        install();
        TestJob job([] {
            shared->job = ASYNC_get_current_job();
            shared->address = ADDRESS_IN_GUARD;
            ASYNC_pause_job();
        });
        TestJob other([] { ASYNC_pause_job(); });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(other.go(), ASYNC_PAUSE);
        overflow_test_writes(shared->address);
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    auto fields = stray_access_to(ended, hex(shared->job));
    EXPECT_EQ(fields["address"], hex(as_signals_say(shared->address)));
    EXPECT_EQ(fields["symbol"].substr(0, 23), "overflow_test_writes+0x");
}

TEST_F(Overflow, IsNotWhatAnotherJobDoesToAGuard) {
    const Ended ended = run([] {
        install();
        TestJob job([] {
            shared->job = ASYNC_get_current_job();
            shared->address = ADDRESS_IN_GUARD;
            ASYNC_pause_job();
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        TestJob other([] { overflow_test_writes(shared->address); });
        other.go();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    stray_access_to(ended, hex(shared->job));
}

TEST_F(Overflow, IsNotAWrongPointerToTheOwnGuardFarAboveIt) {
    const Ended ended = run([] {
        install();
        TestJob job([] {
            shared->job = ASYNC_get_current_job();
            overflow_test_writes(ADDRESS_IN_GUARD);
        });
        job.go();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    stray_access_to(ended, hex(shared->job));
}

// Where frames that are touched ahead of the stack pointer would fault. The other job's stack, made
// before, is above, if that is how the system places mappings.
TEST_F(Overflow, IsNotWhatAnotherJobDoesToTheEndOfTheGuard) {
    static ASYNC_stack_alloc_fn allocate = nullptr;
    static ASYNC_stack_free_fn release = nullptr;
    static char* last_stack = nullptr;
    const Ended ended = run([] {
        ASYNC_get_mem_functions(&allocate, &release);
        EXPECT_EQ(ASYNC_set_mem_functions(
                      [](std::size_t* size) {
                          void* const stack = allocate(size);
                          last_stack = static_cast<char*>(stack);
                          return stack;
                      },
                      [](void* stack) { release(stack); }),
                  1);
        install();
        TestJob other([] {
            ASYNC_pause_job();
            overflow_test_writes(last_stack - 1);
        });
        EXPECT_EQ(other.go(), ASYNC_PAUSE);
        TestJob job([&other] {
            shared->job = ASYNC_get_current_job();
            other.go();
        });
        job.go();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    stray_access_to(ended, hex(shared->job));
}

TEST_F(Overflow, IsNotWhatAnotherThreadDoesToAGuard) {
    const Ended ended = run([] {
        install();
        expect_jobs_work();
        std::barrier both(2);
        std::thread other([&both] {
            TestJob job([&both] {
                shared->job = ASYNC_get_current_job();
                shared->address = ADDRESS_IN_GUARD;
                both.arrive_and_wait();
                both.arrive_and_wait();  // never
            });
            job.go();
        });
        both.arrive_and_wait();
        overflow_test_writes(shared->address);
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    stray_access_to(ended, hex(shared->job));
}

// Its stack has been given back, alone or with its whole slab.
TEST_F(Overflow, IsNotWhatHappensWhereAJobWasThatIsNoMore) {
    for (const bool is_alone : {true, false}) {
        const Ended ended = run([is_alone] {
            install();
            TestJob other([] { ASYNC_pause_job(); });
            TestJob job([] {
                shared->address = ADDRESS_IN_GUARD;
                ASYNC_pause_job();
            });
            EXPECT_EQ(other.go(), ASYNC_PAUSE);
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            ASYNC_cleanup_thread();
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            EXPECT_EQ(is_alone ? ASYNC_FINISH : other.go(), ASYNC_FINISH);
            overflow_test_writes(shared->address);
        });
        EXPECT_TRUE(died_of_the_fault(ended));
        EXPECT_TRUE(reports(ended).empty()) << ended.errors;
    }
}

}  // namespace
}  // namespace test
