// SPDX-License-Identifier: Apache-2.0
// soak: jobs by the hundred million, of random depth, arguments, nesting and ends, on threads that
// wake each other's jobs, and end and begin anew. Every job's result is checked, and that the
// process's resident memory is no larger in the second half than it was in the first.
//
// Usage: soak [--switches N] [--threads N] [--seed N]
// The default is what CI runs; `soak --switches 1000000000` is the long one.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "../tools.hpp"
#include "asyncjob/async.h"
#include "asyncjob/control.h"

namespace {

[[noreturn]] void fail(const char* what, long long detail) {
    std::fprintf(stderr, "soak: %s (%lld), reason %d: %s\n", what, detail, asyncjob_last_reason(),
                 asyncjob_reason_string(asyncjob_last_reason()));
    std::abort();
}

void check(bool condition, const char* what, long long detail) {
    if (!condition) [[unlikely]]
        fail(what, detail);
}

// xorshift64*: the sequence is the seed's, on each machine.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}
    std::uint64_t next() {
        state_ ^= state_ >> 12U;
        state_ ^= state_ << 25U;
        state_ ^= state_ >> 27U;
        return state_ * 0x2545f4914f6cdd1dU;
    }
    std::uint64_t below(std::uint64_t limit) { return (next() >> 32U) * limit >> 32U; }

  private:
    std::uint64_t state_;
};

constexpr std::size_t largest_args = 6000;  // more than goes onto the stack
constexpr int cancelled = -1;

enum class Pauses { plainly, meaningfully, until_a_time };

struct Plan {
    std::uint64_t seed;
    std::uint32_t depth;   // of frames
    std::uint32_t pauses;  // in the deepest
    Pauses how;
    bool nests;
    std::uint32_t padding;  // bytes of arguments behind this
};

std::uint64_t mix(std::uint64_t value) {
    return (value ^ (value >> 31U)) * 0x9e3779b97f4a7c15U;
}

// What a job that is not cancelled returns.
int expected(const Plan& plan) {
    std::uint64_t value = plan.seed;
    for (std::uint32_t i = 0; i < plan.pauses; ++i)
        value = mix(value + i);
    for (std::uint32_t i = plan.depth; i > 0; --i)
        value = mix(value ^ i);
    return static_cast<int>(value >> 33U);
}

// Switches that this thread has made and not added to the sum yet.
thread_local std::uint64_t own_switches = 0;

bool pause(Pauses how) {
    own_switches += 2;
    switch (how) {
        case Pauses::plainly:
            return ASYNC_pause_job() == 1;
        case Pauses::meaningfully:
            return asyncjob_pause() != ASYNCJOB_CANCELLED;
        case Pauses::until_a_time:
            break;
    }
    timespec soon{};
    clock_gettime(CLOCK_MONOTONIC, &soon);
    soon.tv_sec += 1;
    const int meaning = asyncjob_pause_until(&soon);
    check(meaning != ASYNCJOB_PAUSE_FAILED, "a pause failed", meaning);
    return meaning != ASYNCJOB_CANCELLED;
}

int run_plan(void* args);

// A job in a job: to its end, or abandoned by a cancel.
void nest(std::uint64_t seed) {
    const Plan plan{seed, 3, 4, Pauses::plainly, false, 0};
    ASYNC_JOB* job = nullptr;
    int result = 0;
    for (std::uint32_t i = 0; i < plan.pauses; ++i) {
        const int status = ASYNC_start_job(&job, nullptr, &result, run_plan,
                                           const_cast<Plan*>(&plan), sizeof plan);
        check(status == ASYNC_PAUSE, "a nested job did not pause", status);
    }
    if (seed % 2 == 0) {
        check(asyncjob_cancel(&job, &result) == ASYNC_FINISH && result == cancelled,
              "a nested cancel", result);
    } else {
        check(ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0) == ASYNC_FINISH &&
                  result == expected(plan),
              "a nested job's result", result);
    }
}

// Recurses, and pauses at the deepest; each frame checks what it keeps. False: cancelled.
[[gnu::noinline]] bool descend(const Plan& plan, std::uint32_t depth, std::uint64_t& value) {
    volatile std::uint64_t kept[24];
    for (std::size_t i = 0; i < 24; i += 8)
        kept[i] = plan.seed + depth + i;
    bool goes_on = true;
    if (depth < plan.depth) {
        goes_on = descend(plan, depth + 1, value);
        value = mix(value ^ (depth + 1));
    } else {
        for (std::uint32_t i = 0; i < plan.pauses && goes_on; ++i) {
            value = mix(value + i);
            goes_on = pause(plan.how);
        }
        if (plan.nests && goes_on)
            nest(plan.seed);
    }
    for (std::size_t i = 0; i < 24; i += 8)
        check(kept[i] == plan.seed + depth + i, "a frame was overwritten", depth);
    return goes_on;
}

int run_plan(void* args) {
    Plan plan{};
    std::memcpy(&plan, args, sizeof plan);
    const auto* const padding = static_cast<const unsigned char*>(args) + sizeof plan;
    for (std::uint32_t i = 0; i < plan.padding; i += 97)
        check(padding[i] == static_cast<unsigned char>(plan.seed), "an argument", i);
    std::uint64_t value = plan.seed;
    return descend(plan, 0, value) ? static_cast<int>(value >> 33U) : cancelled;
}

constexpr std::size_t slots_of_a_thread = 64;
constexpr std::size_t most_threads = 64;

// Handles that any thread may wake, current or stale.
struct Shared {
    std::mutex mutex;
    asyncjob_handle handle{};
};
std::array<std::array<Shared, slots_of_a_thread>, most_threads> handles;

std::atomic<std::uint64_t> switches = 0;  // of all threads
std::atomic<std::uint64_t> jobs_run = 0;
std::atomic<std::uint64_t> wakes = 0;
std::atomic<std::uint64_t> jobs_cancelled = 0;

class Thread {
  public:
    Thread(std::size_t number, std::size_t threads, std::uint64_t seed)
        : number_(number), threads_(threads), random_(seed) {}

    // Until the sum of all threads' switches is reached.
    void run(std::uint64_t until) {
        check(ASYNC_init_thread(0, random_.below(20)) == 1, "init_thread", 0);
        while (switches.load(std::memory_order_relaxed) < until) {
            for (int i = 0; i < 64; ++i)
                step();
            resume_ready();
            switches.fetch_add(own_switches, std::memory_order_relaxed);
            own_switches = 0;
        }
        for (Slot& slot : slots_)
            while (slot.job != nullptr)
                cancel(slot);
        ASYNC_JOB* ready = nullptr;
        check(asyncjob_take_ready(&ready, 1) == 0, "a job is ready that has ended", 0);
        asyncjob_stats_t stats{};
        check(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_THREAD) == 1 && stats.live == 0,
              "jobs that live", static_cast<long long>(stats.live));
        jobs_run += stats.finished;
        jobs_cancelled += stats.cancelled;
        if (random_.below(2) == 0)
            ASYNC_cleanup_thread();
    }

  private:
    struct Slot {
        ASYNC_JOB* job = nullptr;
        int result = 0;
        Plan plan{};
    };

    void step() {
        Slot& slot = slots_[random_.below(slots_of_a_thread)];
        if (slot.job == nullptr)
            start(slot);
        else if (random_.below(64) == 0)
            cancel(slot);
        else
            resume(slot, 1 + random_.below(32));
        if (random_.below(8) == 0)
            wake_any();
    }

    void start(Slot& slot) {
        static thread_local std::array<unsigned char, sizeof(Plan) + largest_args> args;
        Plan& plan = slot.plan;
        const std::uint64_t kind = random_.below(256);
        plan.seed = random_.next();
        plan.depth =
            static_cast<std::uint32_t>(random_.below(random_.below(16) == 0 ? deepest_ : 12));
        plan.pauses = static_cast<std::uint32_t>(random_.below(100));
        plan.how = kind == 0   ? Pauses::until_a_time
                   : kind < 16 ? Pauses::meaningfully
                               : Pauses::plainly;
        plan.nests = random_.below(8) == 0;
        plan.padding = static_cast<std::uint32_t>(
            random_.below(8) == 0 ? random_.below(random_.below(8) == 0 ? largest_args : 500) : 0);
        std::memcpy(args.data(), &plan, sizeof plan);
        std::memset(args.data() + sizeof plan, static_cast<unsigned char>(plan.seed), plan.padding);
        own_switches += 2;  // in and out
        const int status = ASYNC_start_job(&slot.job, nullptr, &slot.result, run_plan, args.data(),
                                           sizeof plan + plan.padding);
        settle(slot, status);
        if (slot.job != nullptr && random_.below(4) == 0) {
            Shared& shared = handles[number_][static_cast<std::size_t>(&slot - slots_.data())];
            const std::lock_guard lock(shared.mutex);
            check(asyncjob_get_handle(slot.job, &shared.handle) == 1, "get_handle", 0);
        }
    }

    void resume(Slot& slot, std::uint64_t times) {
        for (; times > 0 && slot.job != nullptr; --times)
            settle(slot, ASYNC_start_job(&slot.job, nullptr, &slot.result, nullptr, nullptr, 0));
    }

    static void settle(const Slot& slot, int status) {
        if (status == ASYNC_PAUSE) [[likely]]
            return;
        check(status == ASYNC_FINISH, "a start or resume", status);
        check(slot.job == nullptr && slot.result == expected(slot.plan), "a job's result",
              slot.result);
    }

    static void cancel(Slot& slot) {
        check(asyncjob_cancel(&slot.job, &slot.result) == ASYNC_FINISH, "a cancel", 0);
        check(slot.result == cancelled, "a cancelled job's result", slot.result);
    }

    void wake_any() {
        asyncjob_handle handle{};
        {
            Shared& shared = handles[random_.below(threads_)][random_.below(slots_of_a_thread)];
            const std::lock_guard lock(shared.mutex);
            handle = shared.handle;
        }
        if (handle.slot != nullptr && asyncjob_wake(handle) == 1)
            wakes.fetch_add(1, std::memory_order_relaxed);
    }

    void resume_ready() {
        std::array<ASYNC_JOB*, 16> ready{};
        const std::size_t count = asyncjob_take_ready(ready.data(), ready.size());
        for (std::size_t at = 0; at < count; ++at) {
            for (Slot& slot : slots_) {
                if (slot.job == ready[at]) {
                    resume(slot, 1);
                    break;
                }
            }
        }
    }

    const std::size_t number_;
    const std::size_t threads_;
    const std::uint64_t deepest_ = test::memory_is_watched() ? 60 : 200;  // frames are larger there
    Random random_;
    std::array<Slot, slots_of_a_thread> slots_{};
};

std::size_t resident_kib() {
    std::size_t all = 0;
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> all >> pages;
    return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

std::uint64_t number_of(const char* text, std::uint64_t least, std::uint64_t most) {
    char* end = nullptr;
    const std::uint64_t value = std::strtoull(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most) {
        std::fprintf(stderr, "soak: '%s' is not a number from %" PRIu64 " to %" PRIu64 "\n", text,
                     least, most);
        std::exit(2);
    }
    return value;
}

struct Settings {
    std::uint64_t switches = 20'000'000;
    std::size_t threads = 4;
    std::uint64_t seed = 1;
};

Settings settings_of(int argc, char** argv) {
    Settings settings;
    for (int at = 1; at < argc; at += 2) {
        const std::string_view name = argv[at];
        if (at + 1 == argc || (name != "--switches" && name != "--threads" && name != "--seed")) {
            std::fprintf(stderr, "usage: soak [--switches N] [--threads N] [--seed N]\n");
            std::exit(2);
        }
        if (name == "--switches")
            settings.switches = number_of(argv[at + 1], 1000, 1'000'000'000'000'000);
        else if (name == "--threads")
            settings.threads = number_of(argv[at + 1], 1, most_threads);
        else
            settings.seed = number_of(argv[at + 1], 0, UINT64_MAX);
    }
    return settings;
}

}  // namespace

int main(int argc, char** argv) {
    const Settings settings = settings_of(argc, argv);
    constexpr std::uint64_t generations = 20;  // of threads
    std::array<std::size_t, 2> most{};         // resident, in each half
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t generation = 0; generation < generations; ++generation) {
        const std::uint64_t until = settings.switches / generations * (generation + 1);
        std::vector<std::thread> threads;
        for (std::size_t number = 0; number < settings.threads; ++number)
            threads.emplace_back([&settings, generation, number, until] {
                Thread(number, settings.threads,
                       settings.seed + generation * settings.threads + number)
                    .run(until);
            });
        // Meanwhile, and once when they are gone.
        while (switches.load(std::memory_order_relaxed) < until) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            std::size_t& most_here = most.at(generation < generations / 2 ? 0 : 1);
            most_here = std::max(most_here, resident_kib());
        }
        for (std::thread& thread : threads)
            thread.join();
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    check(asyncjob_left_behind() == 0, "jobs left behind",
          static_cast<long long>(asyncjob_left_behind()));
    std::printf("%" PRIu64 " switches, %" PRIu64 " jobs, %" PRIu64 " of them cancelled, %" PRIu64
                " wakes, %zu threads, %.1f s\nresident: %zu KiB at most in the first half, %zu KiB "
                "in the second\n",
                switches.load(), jobs_run.load(), jobs_cancelled.load(), wakes.load(),
                static_cast<std::size_t>(settings.threads * generations), seconds.count(), most[0],
                most[1]);
#ifdef ASYNCJOB_TEST_EMULATED
    std::puts("not compared: the resident memory is qemu-user's own");
#else
    // Half a megabyte a thread is what its jobs' stacks differ by from time to time. A tool keeps
    // memory of its own for each thread that there was, and tells what is lost.
    check(test::memory_is_watched() || most[1] <= most[0] + 512 * settings.threads,
          "the resident memory grows",
          static_cast<long long>(most[1]) - static_cast<long long>(most[0]));
#endif
    return 0;
}
