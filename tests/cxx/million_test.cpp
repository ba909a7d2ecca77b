// SPDX-License-Identifier: Apache-2.0
// A million jobs, on two threads at once: started, paused, resumed or cancelled, moved about, with
// exceptions in some, and none left, nor anything of theirs. Sanitizers watch their builds of this.
#include <array>
#include <atomic>
#include <thread>

#include "support.hpp"

namespace test {
namespace {

constexpr int threads = 2;
constexpr int jobs_of_thread = emulated ? 20'000 : 500'000;
// At a time. ThreadSanitizer keeps so much for a stack that more of them take six times as long.
constexpr int crowd_size = under_tsan ? 64 : 1000;

// Counts what there is of its kind: on a job's stack, in its callable, in its result.
class Counted {
  public:
    Counted() { ++live; }
    Counted(Counted&& /*other*/) noexcept { ++live; }
    ~Counted() { --live; }
    Counted& operator=(Counted&&) = delete;

    static inline std::atomic<long> live = 0;
};

// What becomes of a job.
enum class Fate { finishes, throws, is_cancelled, is_destroyed, is_left };
constexpr std::array<Fate, 10> fates{
    Fate::finishes, Fate::is_cancelled, Fate::finishes,     Fate::throws,   Fate::finishes,
    Fate::is_left,  Fate::finishes,     Fate::is_destroyed, Fate::finishes, Fate::finishes};
constexpr int cancelled_of_ten = 3;

Fate fate_of(int number) {
    return fates[static_cast<std::size_t>(number) % fates.size()];
}

// On a job's stack: notes whether it went by a cancel.
class Frame {
  public:
    explicit Frame(int& unwound) : unwound_(unwound) {}
    ~Frame() { unwound_ += asyncjob::this_job::cancelled() ? 1 : 0; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

  private:
    Counted counted_;
    int& unwound_;
};

using CountedJob = asyncjob::Job<std::unique_ptr<Counted>>;

CountedJob make_counted_job(asyncjob::WaitContext& wait, int number, int& unwound) {
    return {wait, [counted = std::make_unique<Counted>(), number, &unwound] {
                const Frame frame(unwound);
                const Fate fate = fate_of(number);
                for (int pauses = 0; pauses < 1 + number % 3 || fate > Fate::throws; ++pauses)
                    asyncjob::pause();
                if (fate == Fate::throws)
                    throw number;
                return std::make_unique<Counted>();
            }};
}

// Resumes the job until it ends by itself.
void run_to_end(CountedJob& job, int number) {
    try {
        while (!job.resume()) {
        }
        EXPECT_EQ(fate_of(number), Fate::finishes);
        EXPECT_NE(job.result(), nullptr);
    } catch (int thrown) {
        EXPECT_EQ(fate_of(number), Fate::throws);
        EXPECT_EQ(thrown, number);
    }
}

void end(CountedJob& job, int number) {
    switch (fate_of(number)) {
        case Fate::finishes:
        case Fate::throws:
            return run_to_end(job, number);
        case Fate::is_cancelled:
            return job.cancel();
        case Fate::is_destroyed:
            job = CountedJob();
            return;
        case Fate::is_left:  // until another is moved into its place
            return;
    }
}

void run_jobs() {
    int unwound = 0;
    {
        asyncjob::WaitContext wait;
        std::vector<CountedJob> crowd(crowd_size);
        for (int number = 0; number < jobs_of_thread + crowd_size; ++number) {
            CountedJob& place = crowd[static_cast<std::size_t>(number % crowd_size)];
            if (number >= crowd_size)
                end(place, number - crowd_size);
            if (number >= jobs_of_thread)
                continue;
            CountedJob job = make_counted_job(wait, number, unwound);
            if (job.resume()) {
                ADD_FAILURE() << "job " << number << " has not paused";
                return;
            }
            place = std::move(job);
        }
    }
    EXPECT_EQ(unwound, jobs_of_thread / 10 * cancelled_of_ten);
    asyncjob_stats_t stats{};
    EXPECT_EQ(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_THREAD), 1);
    EXPECT_EQ(stats.started, static_cast<std::uint64_t>(jobs_of_thread));
    EXPECT_EQ(stats.finished, stats.started);
    EXPECT_EQ(stats.cancelled, static_cast<std::uint64_t>(unwound));
    EXPECT_EQ(stats.live, 0U);
    EXPECT_EQ(stats.peak, static_cast<std::uint64_t>(crowd_size) + 1);
}

TEST(Million, JobsStartPauseEndAndAreCancelledAndNoneIsLeft) {
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i)
        running.emplace_back(run_jobs);
    for (std::thread& thread : running)
        thread.join();
    EXPECT_EQ(Counted::live, 0);
    EXPECT_EQ(asyncjob_left_behind(), 0U);
}

}  // namespace
}  // namespace test
