// SPDX-License-Identifier: Apache-2.0
// Signals while jobs switch (S16): as fast as a timer and another thread can send them, and, by
// the processor's trap flag, one after every single instruction of starts, pauses, resumes and
// ends. The handler runs on a stack of its own (SA_ONSTACK), or on that of whatever it interrupts,
// a job's too; it uses registers, floating point and its stack, and makes the calls that handlers
// may make. No switch may lose a register, a mode of floating point, or what is on a stack; nor
// what a handler does to the signal mask.
#include <fcntl.h>
#include <pthread.h>
#include <sys/time.h>
#include <ucontext.h>

#include <cfenv>
#include <csignal>
#include <cstdint>
#include <thread>
#include <vector>

#include "../support.hpp"

namespace {

using namespace test;

std::atomic<std::uint64_t> signals = 0;
std::atomic<std::uint64_t> signals_in_jobs = 0;
std::atomic<std::uint64_t> misaligned = 0;
std::atomic<std::uint64_t> changed_errnos = 0;
int null_fd = -1;

// What a handler may do with its stack: more than the 128 bytes below that its victim may use.
[[gnu::noinline]] std::uint64_t use_stack(std::uint64_t seed) {
    volatile std::uint64_t block[256];
    for (volatile std::uint64_t& word : block)
        word = seed;
    return block[seed % 256];
}

[[gnu::noinline]] double use_floating_point(double value) {
    std::fesetround(FE_DOWNWARD);
    volatile double result = value;
    for (int i = 0; i < 4; ++i)
        result = result / 3.0 + 1.0;
    return result;
}

// Handlers may ask for the current job: of a switch that they interrupt, either side's. errno is
// theirs to keep, and what they call leaves it to them.
void handle(int /*signal*/) {
    const int error_number = errno;
    errno = 71;
    if (reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) % 16 != 0)
        ++misaligned;
    const std::uint64_t count = ++signals;
    if (ASYNC_get_current_job() != nullptr)
        ++signals_in_jobs;
    (void)use_stack(count);
    (void)use_floating_point(static_cast<double>(count));
    if (count % 4096 == 0)
        (void)asyncjob_dump(null_fd);
    if (errno != 71)
        ++changed_errnos;
    errno = error_number;
}

class SignalStack {
  public:
    SignalStack() : memory_(64 * kib) {
        const stack_t stack{.ss_sp = memory_.data(), .ss_flags = 0, .ss_size = memory_.size()};
        EXPECT_EQ(sigaltstack(&stack, &before_), 0);
    }
    ~SignalStack() { sigaltstack(&before_, nullptr); }
    SignalStack(const SignalStack&) = delete;
    SignalStack& operator=(const SignalStack&) = delete;

  private:
    std::vector<char> memory_;
    stack_t before_{};
};

void install(int signal, int flags) {
    struct sigaction action {};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART | flags;
    ASSERT_EQ(sigaction(signal, &action, nullptr), 0);
}

constexpr int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

// Work whose state is in registers, and whose result tells of each that was lost.
struct Work {
    std::uint64_t a, b, c, d, e, f;
    double x, y;

    explicit Work(std::uint64_t seed)
        : a(seed + 1),
          b(seed + 2),
          c(seed + 3),
          d(seed + 4),
          e(seed + 5),
          f(seed + 6),
          x(static_cast<double>(seed)),
          y(1.0) {}
    void step() {
        a = a * 6364136223846793005U + f;
        b ^= a >> 7U;
        c += b * 3;
        d = (d << 5U) ^ c;
        e -= d >> 3U;
        f += e ^ (a << 9U);
        x = x / 3.0 + y;
        y = y / 7.0 + 0.1;
    }
    [[nodiscard]] std::uint64_t sum() const {
        std::uint64_t bits[2];
        std::memcpy(&bits[0], &x, sizeof x);
        std::memcpy(&bits[1], &y, sizeof y);
        return a ^ (b << 1U) ^ (c << 2U) ^ (d << 3U) ^ (e << 4U) ^ (f << 5U) ^ bits[0] ^
               (bits[1] << 1U);
    }
};

// The same with and without pauses between the steps, in a rounding mode of its own.
template <typename Between>
[[gnu::noinline]] std::uint64_t work(std::uint64_t seed, int steps, Between between) {
    const int mode = modes[seed % 4];
    std::fesetround(mode);
    Work state(seed);
    for (int i = 0; i < steps; ++i) {
        state.step();
        between();
        if (std::fegetround() != mode)
            state.a ^= 1;
    }
    return state.sum();
}

constexpr auto no_pause = [] {};
constexpr auto pause = [] {
    errno = 1000;
    if (ASYNC_pause_job() != 1 || errno != 1000)
        std::abort();
};

struct Task {
    std::uint64_t seed;
    int steps;
    std::uint64_t* result;
};

int run_task(void* args) {
    const Task task = *static_cast<Task*>(args);
    *task.result = work(task.seed, task.steps, pause);
    return 7;
}

constexpr std::size_t jobs_at_once = 8;

// Starts, resumes and ends jobs until each has made its steps. Returns how many were right.
std::size_t run_jobs(int steps, const std::vector<std::uint64_t>& expected) {
    ASYNC_JOB* jobs[jobs_at_once] = {};
    std::uint64_t results[jobs_at_once] = {};
    int values[jobs_at_once] = {};
    Work own(1234);
    Work same(1234);
    bool keeps_errno = true;
    for (int step = 0; step <= steps; ++step) {
        for (std::size_t at = 0; at < jobs_at_once; ++at) {
            Task task{at, steps, &results[at]};
            errno = 2000;
            const int status =
                ASYNC_start_job(&jobs[at], nullptr, &values[at], run_task, &task, sizeof task);
            own.step();
            // The end of a job is a return, and errno goes with it.
            keeps_errno = keeps_errno && (errno == 2000 || status == ASYNC_FINISH);
            if (status != (step < steps ? ASYNC_PAUSE : ASYNC_FINISH))
                std::abort();
        }
    }
    std::size_t right = 0;
    for (std::size_t at = 0; at < jobs_at_once; ++at)
        right += results[at] == expected[at] && values[at] == 7 ? 1 : 0;
    for (std::size_t i = 0; i < jobs_at_once * static_cast<std::size_t>(steps + 1); ++i)
        same.step();
    return own.sum() == same.sum() && keeps_errno ? right : 0;
}

std::vector<std::uint64_t> expected_results(int steps) {
    std::vector<std::uint64_t> expected;
    for (std::size_t at = 0; at < jobs_at_once; ++at)
        expected.push_back(work(at, steps, no_pause));
    std::fesetround(FE_TONEAREST);
    return expected;
}

class Signals : public testing::TestWithParam<int> {
  protected:
    void SetUp() override {
        signals = signals_in_jobs = misaligned = changed_errnos = 0;
        null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    void TearDown() override {
        close(null_fd);
        std::fesetround(FE_TONEAREST);
    }
};
INSTANTIATE_TEST_SUITE_P(S16, Signals, testing::Values(SA_ONSTACK, 0), [](const auto& info) {
    return info.param == SA_ONSTACK ? "OnAStackOfTheirOwn" : "OnTheJobsStacks";
});

TEST_P(Signals, AtFullRateWhileJobsSwitchChangeNothing) {
    constexpr int steps = 50;
    const std::uint64_t switches = memory_is_watched() ? 200'000 : 4'000'000;
    const std::uint64_t wanted = memory_is_watched() ? 1'000 : 20'000;
    const std::vector<std::uint64_t> expected = expected_results(steps);
    const SignalStack stack;
    install(SIGALRM, GetParam());
    install(SIGUSR1, GetParam());
    std::atomic<bool> done = false;
    std::thread sender([&done, victim = pthread_self()] {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the timer's are for the victim
        while (!done)
            pthread_kill(victim, SIGUSR1);
    });
    const itimerval often{.it_interval = {0, 20}, .it_value = {0, 20}};
    EXPECT_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);

    std::uint64_t switched = 0;
    bool right = true;
    // A signal too few is waited for, and not for ever.
    for (; right && (switched < switches || signals < wanted) && switched < 100 * switches;
         switched += 2 * jobs_at_once * (steps + 1))
        right = run_jobs(steps, expected) == jobs_at_once;

    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    done = true;
    sender.join();
    EXPECT_TRUE(right) << "after " << switched << " switches and " << signals << " signals";
    EXPECT_EQ(misaligned, 0U);
    EXPECT_EQ(changed_errnos, 0U);
    EXPECT_GE(signals, wanted);
    EXPECT_GT(signals_in_jobs, 0U);
    std::printf("%llu switches, %llu signals, %llu of them in jobs\n",
                static_cast<unsigned long long>(switched),
                static_cast<unsigned long long>(signals.load()),
                static_cast<unsigned long long>(signals_in_jobs.load()));
}

#if defined(__x86_64__)
// Of the calling thread, from the instruction after that.
void set_trap_flag(bool set) {
    if (set)
        asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
    else
        asm volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
}

TEST_P(Signals, AfterEveryInstructionOfASwitchChangeNothing) {
    if (memory_is_watched())
        GTEST_SKIP() << "a tool's own instructions would be interrupted as well";
    constexpr int steps = 3;
    const std::vector<std::uint64_t> expected = expected_results(steps);
    EXPECT_EQ(run_jobs(steps, expected), jobs_at_once);  // the jobs are made
    const SignalStack stack;
    install(SIGTRAP, GetParam());
    for (int times = 0; times < 8; ++times) {
        set_trap_flag(true);
        const std::size_t right = run_jobs(steps, expected);
        set_trap_flag(false);
        EXPECT_EQ(right, jobs_at_once);
    }
    ASYNC_cleanup_thread();  // jobs are made, and discarded
    set_trap_flag(true);
    const std::size_t right = run_jobs(steps, expected);
    ASYNC_cleanup_thread();
    set_trap_flag(false);
    EXPECT_EQ(right, jobs_at_once);
    EXPECT_EQ(misaligned, 0U);
    EXPECT_EQ(changed_errnos, 0U);
    EXPECT_GT(signals, 50'000U);
    EXPECT_GT(signals_in_jobs, 10'000U);
    std::printf("%llu signals, %llu of them in jobs\n",
                static_cast<unsigned long long>(signals.load()),
                static_cast<unsigned long long>(signals_in_jobs.load()));
}

// What a handler makes of the mask of the code that it interrupts stays, wherever that is.
std::atomic<bool> is_blocked = false;
std::atomic<std::uint64_t> masks_lost = 0;

void change_mask(int /*signal*/, siginfo_t* /*info*/, void* context) {
    sigset_t& mask = static_cast<ucontext_t*>(context)->uc_sigmask;
    if ((sigismember(&mask, SIGWINCH) == 1) != is_blocked)
        ++masks_lost;
    is_blocked = !is_blocked;
    if (is_blocked)
        sigaddset(&mask, SIGWINCH);
    else
        sigdelset(&mask, SIGWINCH);
    ++signals;
}

// Its mask has SIGUSR1, which so comes at its end: after the same instruction, or when the code
// that it has interrupted lets it come.
void send(int /*signal*/) {
    const int error_number = errno;
    pthread_kill(pthread_self(), SIGUSR1);
    errno = error_number;
}

TEST_P(Signals, AfterEveryInstructionOfASwitchChangeTheMask) {
    if (memory_is_watched())
        GTEST_SKIP() << "a tool's own instructions would be interrupted as well";
    constexpr int steps = 3;
    const std::vector<std::uint64_t> expected = expected_results(steps);
    const SignalStack stack;
    struct sigaction action {};
    action.sa_sigaction = change_mask;
    action.sa_flags = SA_SIGINFO | SA_RESTART | GetParam();
    ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
    action.sa_handler = send;
    action.sa_flags = SA_RESTART | GetParam();
    sigaddset(&action.sa_mask, SIGUSR1);
    ASSERT_EQ(sigaction(SIGTRAP, &action, nullptr), 0);
    is_blocked = false;
    masks_lost = 0;
    set_trap_flag(true);
    const std::size_t right = run_jobs(steps, expected);
    set_trap_flag(false);
    sigset_t winch;
    sigemptyset(&winch);
    sigaddset(&winch, SIGWINCH);
    pthread_sigmask(SIG_UNBLOCK, &winch, nullptr);
    EXPECT_EQ(right, jobs_at_once);
    EXPECT_EQ(masks_lost, 0U);
    EXPECT_GT(signals, 5'000U);
}
#endif

}  // namespace
