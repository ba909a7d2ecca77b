// SPDX-License-Identifier: Apache-2.0
// asyncjob_install_overflow_handler(): that the process dies as it would have, that other faults
// and other handlers are left alone, whose signal stack is used, and what the environment says.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csetjmp>
#include <cstring>
#include <memory>
#include <thread>

#include "overflowing.hpp"

namespace test {
namespace {

using OverflowSignal = Overflow;

// No stack, and not NULL, which UndefinedBehaviorSanitizer would tell first.
char* const nowhere = reinterpret_cast<char*>(72);

// Other faults and signals.

TEST_F(OverflowSignal, IsNotSaidOfOtherFaultsInAndOutOfJobs) {
    for (const bool in_job : {false, true}) {
        const Ended ended = run([in_job] {
            install();
            expect_jobs_work();
            TestJob job([] { overflow_test_writes(nowhere); });
            if (in_job)
                job.go();
            overflow_test_writes(nowhere);
        });
        EXPECT_TRUE(died_of_the_fault(ended));
        EXPECT_TRUE(reports(ended).empty()) << ended.errors;
    }
}

TEST_F(OverflowSignal, IsNotSaidOfASignalThatIsSent) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool has a handler";
    const Ended killed = run([] {
        install();
        expect_jobs_work();
        kill(getpid(), SIGSEGV);
        for (;;)
            pause();
    });
    EXPECT_TRUE(was_killed_by(killed, SIGSEGV));
    EXPECT_TRUE(said_nothing(killed));
}

TEST_F(OverflowSignal, LeavesASignalThatIsIgnoredIgnoredAndAFaultDeadly) {
    const Ended ended = run([] {
        set_simple_handler(SIG_IGN);
        install();
        expect_jobs_work();
        kill(getpid(), SIGSEGV);
        kill(getpid(), SIGSEGV);
        expect_jobs_work();
        shared->number = 5;
        overflow_in_a_job();
    });
    EXPECT_TRUE(was_killed_by(ended, SIGSEGV));
    EXPECT_EQ(shared->number, 5);
    overflow_of(ended, hex(shared->job));
}

// The handler stays in the process, since the signal is its for good.
TEST_F(OverflowSignal, IsHandledByAPluginThatHasBeenClosed) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool has a handler";
    EXPECT_TRUE(passes_in_child([] {
        set_simple_handler(SIG_IGN);
        void* const plugin = dlopen(OVERFLOW_PLUGIN, RTLD_NOW);
        ASSERT_NE(plugin, nullptr) << dlerror();
        const auto reports_overflows =
            reinterpret_cast<int (*)()>(dlsym(plugin, "asyncjob_test_reports_overflows"));
        ASSERT_NE(reports_overflows, nullptr);
        EXPECT_EQ(reports_overflows(), 1);
        dlclose(plugin);
        EXPECT_EQ(kill(getpid(), SIGSEGV), 0);
        Dl_info info{};
        EXPECT_NE(dladdr(reinterpret_cast<void*>(current_action().sa_sigaction), &info), 0);
        EXPECT_NE(std::strstr(info.dli_fname, "overflow_plugin"), nullptr) << info.dli_fname;
    }));
}

TEST_F(OverflowSignal, LetsASignalThatIsIgnoredInterruptNoRead) {
    if (emulated)
        GTEST_SKIP() << "qemu-user has a handler, which interrupts the read";
    EXPECT_TRUE(passes_in_child([] {
        set_simple_handler(SIG_IGN);
        install();
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        std::thread sender([&ends, reader = pthread_self()] {
            for (int times = 0; times < 100; ++times) {
                usleep(1000);
                EXPECT_EQ(pthread_kill(reader, SIGSEGV), 0);
            }
            EXPECT_EQ(write(ends[1], "x", 1), 1);
        });
        char read_one = 0;
        EXPECT_EQ(read(ends[0], &read_one, 1), 1) << std::strerror(errno);
        sender.join();
        EXPECT_EQ(read_one, 'x');
    }));
}

// Flags that say nothing: the kernel looks at the handler first.
TEST_F(OverflowSignal, LeavesASignalThatIsIgnoredAloneWhateverItsFlags) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool has a handler";
    const Ended ignored = run([] {
        struct sigaction action {};
        action.sa_handler = SIG_IGN;
        action.sa_flags = SA_SIGINFO;
        EXPECT_EQ(sigaction(SIGSEGV, &action, nullptr), 0);
        install();
        kill(getpid(), SIGSEGV);
        expect_jobs_work();
    });
    EXPECT_TRUE(exited_with(ignored, 0));
}

// SA_RESETHAND takes it away, and leaves the other flags.
TEST_F(OverflowSignal, LeavesASignalWithoutAHandlerAloneWhateverItsFlags) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool has a handler";
    if (emulated)
        GTEST_SKIP() << "qemu-user has no ptrace()";
    *shared = {};
    const pid_t child = fork();
    if (child == 0) {
        alarm(100);
        close(STDERR_FILENO);
        set_handler([](int, siginfo_t*, void*) {}, static_cast<int>(SA_RESETHAND));
        raise(SIGSEGV);
        install();
        expect_jobs_work();
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        overflow_in_a_job();
        _exit(0);
    }
    std::vector<const void*> places;
    int status = 0;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status) && places.size() < 9) {
        siginfo_t info{};
        EXPECT_EQ(ptrace(PTRACE_GETSIGINFO, child, nullptr, &info), 0);
        places.push_back(info.si_addr);
        ptrace(PTRACE_CONT, child, nullptr, WSTOPSIG(status));
    }
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
    ASSERT_EQ(places.size(), 2U);
    EXPECT_EQ(places[1], places[0]) << "the core file is of another fault";
}

// A fault of a protection key, say, of which the kernel tells by such a code: if the library
// ignored it, too, its instruction would fault for ever.
TEST_F(OverflowSignal, LeavesFaultsOfOtherKindsToTheKernelWhenTheSignalIsIgnored) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool has a handler";
    if (emulated)
        GTEST_SKIP() << "qemu-user takes a fault that is sent to be its own, and aborts";
    EXPECT_TRUE(passes_in_child([] {
        set_simple_handler(SIG_IGN);
        install();
        siginfo_t info{};
        info.si_signo = SIGSEGV;
        info.si_code = SEGV_PKUERR;
        EXPECT_EQ(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGSEGV, &info), 0);
        EXPECT_EQ(current_action().sa_handler, SIG_IGN);
    }));
}

// A debugger, and so a core file, sees the same signal again, of the same instruction.
TEST_F(OverflowSignal, ThatNobodyHandlesHappensAgainForTheKernel) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool has a handler";
    if (emulated)
        GTEST_SKIP() << "qemu-user has no ptrace()";
    for (const bool sent : {false, true}) {
        *shared = {};
        const pid_t child = fork();
        if (child == 0) {
            alarm(100);
            close(STDERR_FILENO);
            install();
            expect_jobs_work();
            ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            if (sent)
                kill(getpid(), SIGSEGV);
            else
                overflow_in_a_job();
            _exit(0);
        }
        std::vector<siginfo_t> seen;
        int status = 0;
        while (waitpid(child, &status, 0) == child && WIFSTOPPED(status) && seen.size() < 9) {
            siginfo_t info{};
            EXPECT_EQ(ptrace(PTRACE_GETSIGINFO, child, nullptr, &info), 0);
            seen.push_back(info);
            ptrace(PTRACE_CONT, child, nullptr, WSTOPSIG(status));
        }
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
        ASSERT_EQ(seen.size(), 2U);
        EXPECT_EQ(seen[0].si_signo, SIGSEGV);
        EXPECT_EQ(seen[1].si_signo, SIGSEGV);
        EXPECT_EQ(seen[0].si_code, sent ? SI_USER : seen[1].si_code);
        EXPECT_EQ(seen[1].si_code, sent ? SI_USER : seen[0].si_code);
        if (sent) {
            EXPECT_EQ(seen[1].si_pid, seen[0].si_pid);
        } else {
            EXPECT_EQ(seen[1].si_addr, seen[0].si_addr);
        }
    }
}

// Handlers that were there.

void note_and_exit(int signal, siginfo_t* info, void* context) {
    shared->address = static_cast<char*>(info->si_addr);
    shared->number = errno;
    const bool as_it_was = signal == SIGSEGV && info->si_signo == SIGSEGV && context != nullptr &&
                           (info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR);
    _exit(as_it_was ? 7 : 8);
}

TEST_F(OverflowSignal, IsPassedOnToTheHandlerThatWasThereWithItsInformation) {
    if (under_tsan)
        GTEST_SKIP() << "the tool calls handlers with an errno and a mask of its own";
    const Ended ended = run([] {
        set_handler(note_and_exit);
        install();
        TestJob job([] {
            shared->job = ASYNC_get_current_job();
            errno = 1234;
            overflow_test_recurses(1);
        });
        job.go();
    });
    EXPECT_TRUE(exited_with(ended, 7));
    EXPECT_EQ(overflow_of(ended, hex(shared->job))["address"], hex(shared->address));
    EXPECT_EQ(shared->number, 1234);

    const Ended elsewhere = run([] {
        set_handler(note_and_exit);
        install();
        overflow_test_writes(nowhere);
    });
    EXPECT_TRUE(exited_with(elsewhere, 7));
    EXPECT_EQ(elsewhere.errors, "");
    EXPECT_EQ(shared->address, as_signals_say(nowhere));
}

TEST_F(OverflowSignal, IsPassedOnToAHandlerWithoutInformation) {
    const Ended ended = run([] {
        set_simple_handler([](int signal) { _exit(signal == SIGSEGV ? 9 : 8); });
        install();
        overflow_in_a_job();
    });
    EXPECT_TRUE(exited_with(ended, 9));
    overflow_of(ended, hex(shared->job));
}

TEST_F(OverflowSignal, ThatIsSentGoesToTheHandlerThatWasThere) {
    const Ended ended = run([] {
        set_handler([](int, siginfo_t* info, void*) {
            if (info->si_code == SI_USER && info->si_pid == getpid())
                shared->calls = shared->calls + 1;
        });
        install();
        expect_jobs_work();
        kill(getpid(), SIGSEGV);
        kill(getpid(), SIGSEGV);
        EXPECT_EQ(shared->calls, 2);
    });
    EXPECT_TRUE(exited_with(ended, 0));
    EXPECT_EQ(ended.errors, "");
}

TEST_F(OverflowSignal, MayBeLeftByAJumpAndIsReportedEachTime) {
    if (under_tsan)
        GTEST_SKIP() << "the tool does not follow a jump out of a handler";
    static sigjmp_buf back;
    const Ended ended = run([] {
        set_handler([](int, siginfo_t*, void*) { siglongjmp(back, 1); });
        install();
        for (int times = 0; times < 3; ++times) {
            TestJob job([] {
                if (sigsetjmp(back, 1) == 0)
                    overflow_here();
                return 5;
            });
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            EXPECT_EQ(job.result, 5);
        }
        expect_jobs_work();
    });
    EXPECT_TRUE(exited_with(ended, 0));
    EXPECT_EQ(reports(ended).size(), 6U) << ended.errors;
}

void look_at_mask_and_exit(int, siginfo_t*, void*) {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    int code = 16;
    code += sigismember(&blocked, SIGUSR1);
    code += sigismember(&blocked, SIGUSR2) * 2;
    code += sigismember(&blocked, SIGSEGV) * 4;
    code += current_action().sa_handler == SIG_DFL ? 8 : 0;
    _exit(code);
}

TEST_F(OverflowSignal, IsPassedOnWithTheMaskAndTheFlagsThatTheHandlerHad) {
    if (under_tsan)
        GTEST_SKIP() << "the tool calls handlers with an errno and a mask of its own";
#ifdef __riscv
    if (emulated)
        GTEST_SKIP() << "qemu-user 7.2 blocks nothing of sa_mask on this CPU, of any program";
#endif
    struct Case {
        int flags;
        int code;
    };
    for (const Case& one : {Case{0, 16 + 1 + 4}, Case{SA_NODEFER, 16 + 1},
                            Case{static_cast<int>(SA_RESETHAND), 16 + 1 + 4 + 8}}) {
        const Ended ended = run([&one] {
            set_handler(look_at_mask_and_exit, one.flags, SIGUSR1);
            install();
            overflow_in_a_job();
        });
        EXPECT_TRUE(exited_with(ended, one.code)) << one.flags;
        overflow_of(ended, hex(shared->job));
    }
}

TEST_F(OverflowSignal, IsReportedOnceHoweverOftenTheHandlerIsInstalled) {
    const Ended ended = run([] {
        install();
        install();
        expect_jobs_work();
        install();
        overflow_in_a_job();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    overflow_of(ended, hex(shared->job));
}

// Whose own handler passes the signal on to the library's: installed again, that would pass it
// back.
struct sigaction passed_on_to {};
TEST_F(OverflowSignal, InAProgramWhoseHandlerCameLaterIsReportedIfItPassesTheSignalOn) {
    const Ended ended = run([] {
        install();
        expect_jobs_work();
        passed_on_to = current_action();
        set_handler([](int signal, siginfo_t* info, void* context) {
            shared->calls = shared->calls + 1;
            if (shared->calls == 1)
                passed_on_to.sa_sigaction(signal, info, context);
            else
                _exit(3);
        });
        install();
        overflow_in_a_job();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    EXPECT_EQ(shared->calls, 1);
    overflow_of(ended, hex(shared->job));
}

// Signal stacks.

void tell_the_stack_and_exit(int, siginfo_t*, void*) {
    shared->address = static_cast<char*>(__builtin_frame_address(0));
    _exit(7);
}

TEST_F(OverflowSignal, IsHandledOnTheSignalStackThatTheThreadHas) {
    constexpr std::size_t size = 64 * kib;
    static char own_stack[size];
    const Ended ended = run([] {
        const stack_t own{own_stack, 0, size};
        EXPECT_EQ(sigaltstack(&own, nullptr), 0);
        set_handler(tell_the_stack_and_exit);
        install();
        expect_jobs_work();
        EXPECT_EQ(signal_stack().ss_sp, own_stack);
        overflow_in_a_job();
    });
    EXPECT_TRUE(exited_with(ended, 7));
    overflow_of(ended, hex(shared->job));
    EXPECT_GE(shared->address, own_stack);
    EXPECT_LT(shared->address, own_stack + size);
}

TEST_F(OverflowSignal, NeedsASignalStackThatEachThreadGetsAndGivesBack) {
    if (faults_are_watched())
        GTEST_SKIP() << "all threads have a signal stack there";
    EXPECT_TRUE(passes_in_child([] {
        install();
        EXPECT_EQ(signal_stack().ss_flags, SS_DISABLE) << "before the first use of jobs";
        expect_jobs_work();
        EXPECT_EQ(signal_stack().ss_flags, 0);
        EXPECT_GE(signal_stack().ss_size, 64 * kib);
        const auto one = [](bool replaces) {
            static char own_stack[64 * kib];
            std::thread([replaces] {
                EXPECT_EQ(signal_stack().ss_flags, SS_DISABLE);
                expect_jobs_work();
                EXPECT_EQ(signal_stack().ss_flags, 0);
                const stack_t own{own_stack, 0, sizeof own_stack};
                EXPECT_EQ(replaces ? sigaltstack(&own, nullptr) : 0, 0);
            }).join();
        };
        one(false);
        const Memory before = Memory::now();
        for (int times = 0; times < 100; ++times)
            one(times % 2 == 0);
        if (memory_is_watched())
            return;
        const Memory after = Memory::now();
        EXPECT_LT(after.mappings, before.mappings + 20);
        EXPECT_LT(after.address_space, before.address_space + 20 * 64 * kib);
    }));
}

// Looked at by the destructor of a key that comes behind the library's.
// As a library does that has a signal stack of its own for a while.
void lose_the_signal_stack() {
    static char other[64 * kib];
    const stack_t own{other, 0, sizeof other};
    const stack_t none{nullptr, SS_DISABLE, 0};
    EXPECT_EQ(sigaltstack(&own, nullptr), 0);
    EXPECT_EQ(sigaltstack(&none, nullptr), 0);
}

TEST_F(OverflowSignal, IsReportedOnAThreadThatHasLostItsSignalStackAndGotItAgain) {
    for (const bool asks : {false, true}) {
        const Ended ended = run([asks] {
            install();
            expect_jobs_work();
            const void* given = nullptr;
            for (int times = 0; times < 3; ++times) {
                lose_the_signal_stack();
                if (asks)
                    install();
                else
                    EXPECT_EQ(ASYNC_init_thread(0, 10 + static_cast<std::size_t>(times)), 1);
                const stack_t now = signal_stack();
                given = times == 0 ? now.ss_sp : given;
                if (now.ss_flags == 0 && now.ss_sp == given)
                    shared->number = shared->number + 1;
            }
            lose_the_signal_stack();
            std::vector<std::unique_ptr<TestJob>> jobs;  // more than there are idle ones
            for (int count = 0; count < 20 && !asks; ++count) {
                jobs.push_back(std::make_unique<TestJob>([] { ASYNC_pause_job(); }));
                EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
            }
            if (asks)
                install();
            overflow_in_a_job();
        });
        EXPECT_TRUE(died_of_the_fault(ended));
        overflow_of(ended, hex(shared->job));
        EXPECT_EQ(shared->number, 3) << "it was not there, or another one each time";
    }
}

TEST_F(OverflowSignal, NeedsNoSignalStackOfOursOnceTheThreadHasItsOwn) {
    if (under_asan)
        GTEST_SKIP() << "the tool gives back what it finds in the place of its own signal stack";
    EXPECT_TRUE(passes_in_child([] {
        install();
        expect_jobs_work();  // makes the library's key
        static char own_stack[64 * kib];
        static pthread_key_t key;
        static bool is_there_at_the_end = false;
        EXPECT_EQ(pthread_key_create(
                      &key, [](void*) { is_there_at_the_end = signal_stack().ss_sp == own_stack; }),
                  0);
        std::thread([] {
            expect_jobs_work();
            const stack_t own{own_stack, 0, sizeof own_stack};
            EXPECT_EQ(sigaltstack(&own, nullptr), 0);
            EXPECT_EQ(pthread_setspecific(key, &key), 0);
        }).join();
        EXPECT_TRUE(is_there_at_the_end);
    }));
}

// A thread's own key, whose destructor comes behind the library's, sees that the stack is gone; a
// job that is used there gets it again.
TEST_F(OverflowSignal, InADestructorOfAThreadsKeyIsReported) {
    const Ended ended = run([] {
        install();
        expect_jobs_work();  // makes the library's key, so that this one comes behind
        static pthread_key_t key;
        EXPECT_EQ(pthread_key_create(&key, [](void*) { overflow_in_a_job(); }), 0);
        std::thread([] {
            expect_jobs_work();
            EXPECT_EQ(pthread_setspecific(key, &key), 0);
        }).join();
    });
    EXPECT_TRUE(died_of_the_fault(ended));
    overflow_of(ended, hex(shared->job));
}

// Where the report goes.

TEST_F(OverflowSignal, KillsThoughNobodyReadsTheReport) {
    if (emulated)
        GTEST_SKIP() << "qemu-user writes to stderr itself, and waits";
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool's report waits for a reader";
    for (const int way : {0, 1, 2}) {
        const Ended ended = run([way] {
            install();
            expect_jobs_work();
            int ends[2];
            EXPECT_EQ(pipe(ends), 0);
            dup2(ends[1], STDERR_FILENO);
            close(ends[1]);
            if (way == 0) {  // full
                EXPECT_EQ(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
                const std::string page(4096, '.');
                while (write(STDERR_FILENO, page.data(), page.size()) > 0) {
                }
                EXPECT_EQ(fcntl(STDERR_FILENO, F_SETFL, 0), 0);
            } else if (way == 1) {  // broken
                close(ends[0]);
            } else {
                close(STDERR_FILENO);
            }
            overflow_in_a_job();
        });
        EXPECT_TRUE(was_killed_by(ended, SIGSEGV)) << way;
    }
}

// The environment.

// What the program does when it is run by one of the tests below.
void overflow_in_the_first_job() {
    const auto before = current_action();
    std::printf("before=%d\n", before.sa_handler == SIG_DFL ? 0 : 1);
    expect_jobs_work();
    std::printf("after=%d\n", current_action().sa_sigaction == before.sa_sigaction ? 0 : 1);
    std::fflush(nullptr);
    overflow_in_a_job();
}

Ended run_with_variable(const char* value) {
    return run([value] {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        if (value == nullptr)
            unsetenv("ASYNCJOB_OVERFLOW_REPORT");
        else
            setenv("ASYNCJOB_OVERFLOW_REPORT", value, 1);
        execl("/proc/self/exe", "overflow_signal_test", "--overflow", nullptr);
        _exit(99);
    });
}

TEST_F(OverflowSignal, IsReportedIfTheEnvironmentWantsItFromTheFirstUseOfJobsOn) {
    if (emulated)
        GTEST_SKIP() << "qemu-user cannot run a program of its CPU from within";
    const Ended ended = run_with_variable("1");
    EXPECT_TRUE(died_of_the_fault(ended));
    EXPECT_EQ(reports(ended).size(), 2U) << ended.errors;
    EXPECT_NE(ended.errors.find("asyncjob: stack overflow: job="), std::string::npos);
    EXPECT_NE(ended.errors.find("after=1"), std::string::npos) << ended.errors;
    if (!under_asan && !under_tsan) {
        EXPECT_NE(ended.errors.find("before=0"), std::string::npos) << ended.errors;
    }
}

TEST_F(OverflowSignal, IsNotReportedIfTheEnvironmentDoesNotWantIt) {
    if (emulated)
        GTEST_SKIP() << "qemu-user cannot run a program of its CPU from within";
    for (const char* const value : {static_cast<const char*>(nullptr), "", "0"}) {
        const Ended ended = run_with_variable(value);
        EXPECT_TRUE(died_of_the_fault(ended));
        EXPECT_TRUE(reports(ended).empty()) << ended.errors;
        EXPECT_NE(ended.errors.find("after=0"), std::string::npos) << ended.errors;
    }
}

TEST_F(OverflowSignal, WithAWrongWordInTheEnvironmentIsNotReportedAndThatIsSaid) {
    if (emulated)
        GTEST_SKIP() << "qemu-user cannot run a program of its CPU from within";
    const Ended ended = run_with_variable("yes");
    EXPECT_TRUE(died_of_the_fault(ended));
    EXPECT_EQ(reports(ended),
              std::vector<std::string>{"asyncjob: ASYNCJOB_OVERFLOW_REPORT: overflows of jobs are "
                                       "not reported, as this is neither 1 nor 0: yes"});
}

}  // namespace
}  // namespace test

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--overflow") == 0) {
        test::overflow_in_the_first_job();
        return 1;
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
