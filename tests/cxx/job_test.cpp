// SPDX-License-Identifier: Apache-2.0
// asyncjob::Job: what it runs, its result, moving, cancelling, and each way to misuse it.
// Exceptions are exceptions_test's.
#include <array>
#include <functional>
#include <list>
#include <string>
#include <thread>

#include "support.hpp"

namespace test {
namespace {

using asyncjob::Cancelled;
using asyncjob::Errc;
using asyncjob::Job;
using asyncjob::make_job;

static_assert(std::is_nothrow_move_constructible_v<Job<int>>);
static_assert(std::is_nothrow_move_assignable_v<Job<int>>);
static_assert(!std::is_copy_constructible_v<Job<int>>);
static_assert(!std::is_copy_assignable_v<Job<int>>);
static_assert(sizeof(Job<std::string>) == sizeof(void*));

// The callable's result must become an R without a cast.
struct Convertible {
    int value;
    explicit operator std::string() const { return std::to_string(value); }
};
template <typename R, typename Callable>
concept MakesJob = requires(asyncjob::WaitContext& wait, Callable callable) {
    Job<R>(wait, std::move(callable));
};
static_assert(MakesJob<long, int (*)()>);
static_assert(MakesJob<void, int (*)()>);
static_assert(!MakesJob<int, void (*)()>);
static_assert(!MakesJob<std::string, Convertible (*)()>);
static_assert(!MakesJob<int, int (*)(int)>);

TEST(Job, RunsUpToEachPauseAndToItsEnd) {
    asyncjob::WaitContext wait;
    std::string said;
    Job<int> job(wait, [&] {
        said += 'a';
        asyncjob::pause();
        said += 'b';
        asyncjob::pause();
        said += 'c';
        return 7;
    });
    EXPECT_EQ(said, "");
    EXPECT_FALSE(job.done());
    EXPECT_FALSE(job.resume());
    EXPECT_EQ(said, "a");
    EXPECT_FALSE(job.done());
    EXPECT_FALSE(job.resume());
    EXPECT_EQ(said, "ab");
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(said, "abc");
    EXPECT_TRUE(job.done());
    EXPECT_EQ(job.result(), 7);
}

TEST(Job, MayFinishWithoutAPause) {
    auto job = make_job(nullptr, [] { return 7; });
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(job.result(), 7);
}

// Counts what is done to it.
struct Counts {
    int copies = 0;
    int moves = 0;
    int live = 0;
};
class Counted {
  public:
    explicit Counted(Counts& counts) : counts_(&counts) { ++counts_->live; }
    Counted(const Counted& other) : counts_(other.counts_) {
        ++counts_->copies;
        ++counts_->live;
    }
    Counted(Counted&& other) noexcept : counts_(other.counts_) {
        ++counts_->moves;
        ++counts_->live;
    }
    ~Counted() { --counts_->live; }
    Counted& operator=(const Counted&) = delete;
    Counted& operator=(Counted&&) = delete;

  private:
    Counts* counts_;
};

TEST(Job, MovesItsCallableOnceAndNeverCopiesIt) {
    Counts counts;
    {
        auto callable = [counted = Counted(counts)] { asyncjob::pause(); };
        counts = {0, 0, 1};
        auto job = make_job(nullptr, std::move(callable));
        EXPECT_EQ(counts.moves, 1);
        job.resume();
        Job<void> elsewhere = std::move(job);
        elsewhere.resume();
        EXPECT_EQ(counts.moves, 1);
        EXPECT_EQ(counts.copies, 0);
    }
    EXPECT_EQ(counts.live, 0);
}

TEST(Job, DestroysItsCallableInTheJobWhenThatHasEnded) {
    Counts counts;
    struct Held {
        ~Held() { *job_of_end = asyncjob::this_job::current(); }
        Counted counted;
        ASYNC_JOB** job_of_end;
    };
    ASYNC_JOB* job_of_end = nullptr;
    auto job =
        make_job(nullptr, [held = std::unique_ptr<Held>(new Held{Counted(counts), &job_of_end})] {
            asyncjob::pause();
        });
    job.resume();
    EXPECT_EQ(counts.live, 1);
    ASYNC_JOB* const name = job.native_handle();
    job.resume();
    EXPECT_EQ(counts.live, 0);
    EXPECT_EQ(job_of_end, name);
}

TEST(Job, IsNotDoneWhileItsCallablesDestructorPauses) {
    struct Pauses {
        Pauses() = default;
        Pauses(Pauses&& other) noexcept : pauses(std::exchange(other.pauses, false)) {}
        Pauses& operator=(Pauses&&) = delete;
        ~Pauses() {
            if (pauses)
                asyncjob::pause();
        }
        bool pauses = true;
    };
    auto job = make_job(nullptr, [held = Pauses()] { return 7; });
    EXPECT_FALSE(job.resume());
    EXPECT_FALSE(job.done());
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::not_finished);
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(job.result(), 7);
}

int& plus_one() {
    static int number = 0;
    return ++number;
}

int plus(int& number) {
    asyncjob::pause();
    return ++number;
}

TEST(Job, RunsFunctionsBoundCallsAndMutableLambdas) {
    int number = 0;
    auto bound = make_job(nullptr, std::bind(plus, std::ref(number)));
    auto mutated = make_job(nullptr, [count = 0]() mutable { return ++count; });
    auto function = make_job(nullptr, asyncjob::this_job::current);
    auto as_function = make_job(nullptr, std::function<long()>([] { return 3L; }));
    bound.resume();
    EXPECT_TRUE(bound.resume() && mutated.resume() && function.resume() && as_function.resume());
    EXPECT_EQ(bound.result(), 1);
    EXPECT_EQ(mutated.result(), 1);
    EXPECT_NE(function.result(), nullptr);
    EXPECT_EQ(as_function.result(), 3);
}

TEST(Job, HasTheTypeThatItsCallableReturns) {
    asyncjob::WaitContext wait;
    Job job(wait, [] { return 1.5; });
    static_assert(std::is_same_v<decltype(job), Job<double>>);
    Job other(wait.native_handle(), [] {});
    static_assert(std::is_same_v<decltype(other), Job<void>>);
    Job reference(wait, plus_one);
    static_assert(std::is_same_v<decltype(reference), Job<int&>>);
    EXPECT_TRUE(reference.resume());
    EXPECT_EQ(reference.result(), 1);
}

// Results.

TEST(JobResult, MayBeVoidAndIsGivenOnce) {
    auto job = make_job(nullptr, [] { asyncjob::pause(); });
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::not_finished);
    job.resume();
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::not_finished);
    job.resume();
    job.result();
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::no_result);
    EXPECT_TRUE(job.done());
}

TEST(JobResult, MayBeAReference) {
    static int number = 0;
    auto job = make_job(nullptr, [] { return std::ref(number); });
    Job<int&> reference(nullptr, [&]() -> int& {
        asyncjob::pause();
        return number;
    });
    reference.resume();
    reference.resume();
    EXPECT_EQ(&reference.result(), &number);
    Job<const int&> to_const(nullptr, []() -> int& { return number; });
    to_const.resume();
    EXPECT_EQ(&to_const.result(), &number);
}

TEST(JobResult, MayBeMoveOnly) {
    auto job = make_job(nullptr, [] {
        auto result = std::make_unique<int>(7);
        asyncjob::pause();
        return result;
    });
    job.resume();
    job.resume();
    const std::unique_ptr<int> seven = job.result();
    EXPECT_EQ(*seven, 7);
    EXPECT_EQ(code_of([&] { (void)job.result(); }), Errc::no_result);
}

// Neither to be moved nor made from nothing: no result() then, but all else.
class Pinned {
  public:
    explicit Pinned(int& live) : live_(live) { ++live_; }
    ~Pinned() { --live_; }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;

  private:
    int& live_;
};

TEST(JobResult, IsDestroyedWithTheJobIfNobodyTakesIt) {
    int live = 0;
    {
        auto job = make_job(nullptr, [&] { return Pinned(live); });
        EXPECT_TRUE(job.resume());
        EXPECT_EQ(live, 1);
    }
    EXPECT_EQ(live, 0);
}

TEST(JobResult, MayBeConstAndMayBeConverted) {
    Job<const std::string> job(nullptr, [] { return "text"; });
    job.resume();
    EXPECT_EQ(job.result(), "text");
    Job<void> dropped(nullptr, [] { return 7; });
    EXPECT_TRUE(dropped.resume());
    dropped.result();
}

struct ThrowsWhenMade {
    explicit ThrowsWhenMade(int number) {
        if (number != 0)
            throw std::runtime_error("not made");
    }
};

TEST(JobResult, WhoseConstructorThrowsLeavesThroughResume) {
    Job<ThrowsWhenMade> job(nullptr, []() -> ThrowsWhenMade {
        asyncjob::pause();
        return ThrowsWhenMade(1);
    });
    job.resume();
    EXPECT_EQ(message_of([&] { job.resume(); }), "not made");
    EXPECT_TRUE(job.done());
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::no_result);
}

struct alignas(256) Aligned {
    std::array<char, 256> bytes{};
};

TEST(JobResult, AndCallableAreAlignedAsTheyAsk) {
    auto job = make_job(nullptr, [aligned = Aligned()] {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&aligned) % alignof(Aligned), 0U);
        return aligned;
    });
    job.resume();
    const Aligned result = job.result();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&result) % alignof(Aligned), 0U);
}

// Moving.

TEST(JobMove, DisturbsNoPausedJob) {
    std::list<Job<int>> jobs;
    for (int i = 0; i < 100; ++i) {
        jobs.push_back(make_job(nullptr, [i] {
            asyncjob::pause();
            return i;
        }));
        jobs.back().resume();
    }
    std::vector<Job<int>> moved;
    for (auto& job : jobs)
        moved.push_back(std::move(job));
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(moved[static_cast<std::size_t>(i)].resume());
        EXPECT_EQ(moved[static_cast<std::size_t>(i)].result(), i);
    }
}

TEST(JobMove, MayBeDoneByTheJobItself) {
    Job<int> first;
    Job<int> second;
    first = make_job(nullptr, [&] {
        second = std::move(first);
        asyncjob::pause();
        first = std::move(second);
        return 7;
    });
    EXPECT_FALSE(first.resume());
    EXPECT_FALSE(first);
    EXPECT_TRUE(second.resume());
    EXPECT_EQ(first.result(), 7);
}

TEST(JobMove, OntoAPausedJobCancelsThat) {
    int frames = 0;
    auto job = make_job(nullptr, [&] { pause_for_ever(frames); });
    job.resume();
    EXPECT_EQ(frames, 1);
    job = make_job(nullptr, [] {});
    EXPECT_EQ(frames, 0);
    EXPECT_TRUE(job.resume());
}

TEST(JobMove, LeavesAnEmptyJob) {
    auto job = make_job(nullptr, [] { asyncjob::pause(); });
    job.resume();
    Job<void> other = std::move(job);
    EXPECT_FALSE(job);
    EXPECT_TRUE(other);
    EXPECT_TRUE(job.done());
    EXPECT_EQ(job.native_handle(), nullptr);
    EXPECT_EQ(code_of([&] { job.resume(); }), Errc::no_job);
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::no_job);
    EXPECT_EQ(code_of([&] { job.cancel(); }), Errc::no_job);
    EXPECT_EQ(code_of([&] { (void)job.handle(); }), Errc::no_job);
}

// Cancelling.

TEST(JobCancel, ByTheDestructorUnwindsTheFrames) {
    int frames = 0;
    {
        std::vector<Job<void>> jobs;
        for (int i = 0; i < 10; ++i) {
            jobs.push_back(make_job(nullptr, [&] { pause_for_ever(frames); }));
            jobs.back().resume();
            jobs.back().resume();
        }
        EXPECT_EQ(frames, 10);
    }
    EXPECT_EQ(frames, 0);
    expect_no_jobs();
}

TEST(JobCancel, ByTheDestructorDropsResultsAndExceptions) {
    int frames = 0;
    {
        auto throws = make_job(nullptr, [&] {
            try {
                pause_for_ever(frames);
            } catch (const Cancelled&) {
                throw std::runtime_error("something else");
            }
        });
        auto returns = make_job(nullptr, [&] {
            try {
                pause_for_ever(frames);
            } catch (const Cancelled&) {
            }
            return std::make_unique<int>(7);
        });
        throws.resume();
        returns.resume();
    }
    EXPECT_EQ(frames, 0);
    expect_no_jobs();
}

TEST(JobCancel, OfAJobThatWasNotStartedNeverRunsIt) {
    Counts counts;
    bool has_run = false;
    {
        auto destroyed = make_job(nullptr, [&, counted = Counted(counts)] { has_run = true; });
        auto cancelled = make_job(nullptr, [&, counted = Counted(counts)] { has_run = true; });
        cancelled.cancel();
        EXPECT_TRUE(cancelled.done());
        EXPECT_EQ(code_of([&] { cancelled.resume(); }), Errc::job_not_paused);
        EXPECT_THROW(cancelled.result(), Cancelled);
    }
    EXPECT_FALSE(has_run);
    EXPECT_EQ(counts.live, 0);
}

TEST(JobCancel, LeavesCancelledInThePlaceOfTheResult) {
    int frames = 0;
    auto job = make_job(nullptr, [&] {
        pause_for_ever(frames);
        return 1;
    });
    job.resume();
    job.cancel();
    EXPECT_TRUE(job.done());
    EXPECT_EQ(frames, 0);
    EXPECT_EQ(code_of([&] { job.resume(); }), Errc::job_not_paused);
    EXPECT_THROW(job.result(), Cancelled);
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::no_result);
    job.cancel();  // does nothing
}

TEST(JobCancel, GivesTheResultOfACallableThatReturnsAllTheSame) {
    auto job = make_job(nullptr, [] { return asyncjob::try_pause() ? 1 : 2; });
    job.resume();
    job.cancel();
    EXPECT_EQ(job.result(), 2);
}

TEST(JobCancel, LetsAnotherExceptionOut) {
    auto job = make_job(nullptr, [] {
        if (!asyncjob::try_pause())
            throw std::runtime_error("something else");
    });
    job.resume();
    EXPECT_EQ(message_of([&] { job.cancel(); }), "something else");
    EXPECT_TRUE(job.done());
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::no_result);
}

TEST(JobCancel, ReachesACallableThatSwallowsItAtEachOfItsPauses) {
    int caught = 0;
    auto job = make_job(nullptr, [&] {
        for (int i = 0; i < 3; ++i) {
            try {
                asyncjob::pause();
            } catch (const Cancelled&) {
                ++caught;
            }
        }
        EXPECT_TRUE(asyncjob::this_job::cancelled());
        return caught;
    });
    job.resume();
    job.cancel();
    EXPECT_EQ(job.result(), 3);
}

TEST(JobCancel, ReachesJobsThatACancelledOneOwns) {
    int frames = 0;
    auto job = make_job(nullptr, [&] {
        auto inner = make_job(nullptr, [&] {
            auto innermost = make_job(nullptr, [&] { pause_for_ever(frames); });
            innermost.resume();
            pause_for_ever(frames);
        });
        inner.resume();
        pause_for_ever(frames);
    });
    job.resume();
    EXPECT_EQ(frames, 3);
    job.cancel();
    EXPECT_EQ(frames, 0);
    expect_no_jobs();
}

TEST(JobCancel, ByCIsSeenByTheJobsOwner) {
    int frames = 0;
    auto unwinds = make_job(nullptr, [&] { pause_for_ever(frames); });
    auto throws = make_job(nullptr, [] {
        if (!asyncjob::try_pause())
            throw std::runtime_error("kept");
    });
    auto returns = make_job(nullptr, [] { return asyncjob::try_pause() ? 1 : 2; });
    unwinds.resume();
    throws.resume();
    returns.resume();
    EXPECT_EQ(asyncjob_cancel_all(), 3U);
    EXPECT_EQ(frames, 0);
    EXPECT_TRUE(unwinds.done() && throws.done() && returns.done());
    EXPECT_EQ(unwinds.native_handle(), nullptr);
    EXPECT_EQ(code_of([&] { unwinds.resume(); }), Errc::job_not_paused);
    EXPECT_THROW(unwinds.result(), Cancelled);
    EXPECT_EQ(message_of([&] { throws.result(); }), "kept");
    EXPECT_EQ(returns.result(), 2);
}

// Misuse.

TEST(JobMisuse, ResumeWhenDoneSaysSo) {
    auto job = make_job(nullptr, [] {});
    job.resume();
    EXPECT_EQ(code_of([&] { job.resume(); }), Errc::job_not_paused);
    EXPECT_EQ(message_of([&] { job.resume(); }),
              "asyncjob::Job::resume: the job is not paused: it has finished, or has not been "
              "started");
}

// Tries all that a running job can try with itself.
template <typename R>
void misuse_running(Job<R>& job) {
    EXPECT_EQ(code_of([&] { job.resume(); }), Errc::job_running);
    EXPECT_EQ(code_of([&] { job.cancel(); }), Errc::job_running);
    EXPECT_EQ(code_of([&] { job.result(); }), Errc::not_finished);
    EXPECT_FALSE(job.done());
}

TEST(JobMisuse, ByTheRunningJobItselfSaysSo) {
    Job<int> job;
    job = make_job(nullptr, [&] {
        misuse_running(job);  // NULL is its handle still
        asyncjob::pause();
        misuse_running(job);
        return 7;
    });
    EXPECT_FALSE(job.resume());
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(job.result(), 7);
}

TEST(JobMisuse, ByAJobThatItHasStartedSaysSo) {
    Job<int> outer;
    outer = make_job(nullptr, [&] {
        auto inner = make_job(nullptr, [&] {
            misuse_running(outer);
            asyncjob::pause();
            misuse_running(outer);
        });
        inner.resume();
        asyncjob::pause();
        inner.resume();
        return 7;
    });
    EXPECT_FALSE(outer.resume());
    EXPECT_TRUE(outer.resume());
    EXPECT_EQ(outer.result(), 7);
}

TEST(JobMisuse, OnAnotherThreadSaysSo) {
    auto job = make_job(nullptr, [] { asyncjob::pause(); });
    job.resume();
    std::thread([&] {
        EXPECT_EQ(code_of([&] { job.resume(); }), Errc::foreign_thread);
        EXPECT_EQ(code_of([&] { job.cancel(); }), Errc::foreign_thread);
        EXPECT_EQ(code_of([&] { (void)job.handle(); }), Errc::foreign_thread);
    }).join();
    EXPECT_TRUE(job.resume());
}

TEST(Job, MayMoveToAnotherThreadBeforeItStartsAndWhenItIsDone) {
    auto job = make_job(nullptr, [] {
        asyncjob::pause();
        return std::this_thread::get_id();
    });
    std::thread::id id;
    std::thread([job = std::move(job), &id]() mutable {
        id = std::this_thread::get_id();
        job.resume();
        job.resume();
        EXPECT_EQ(job.result(), id);
    }).join();
    Job<int> done;
    std::thread([&] {
        done = make_job(nullptr, [] { return 7; });
        done.resume();
    }).join();
    EXPECT_EQ(done.result(), 7);
}

TEST(JobMisuse, HandleOfAJobThatIsNotPausedSaysSo) {
    auto job = make_job(nullptr, [] {});
    EXPECT_EQ(code_of([&] { (void)job.handle(); }), Errc::job_not_paused);
    job.resume();
    EXPECT_EQ(code_of([&] { (void)job.handle(); }), Errc::job_not_paused);
}

TEST(JobMisuse, StartInAFullPoolSaysSoAndMayBeTriedAgain) {
    asyncjob::init_thread({.max_jobs = 1});
    auto first = make_job(nullptr, [] { asyncjob::pause(); });
    auto second = make_job(nullptr, [] { return 7; });
    first.resume();
    EXPECT_EQ(code_of([&] { second.resume(); }), Errc::pool_is_full);
    EXPECT_FALSE(second.done());
    first.resume();
    EXPECT_TRUE(second.resume());
    EXPECT_EQ(second.result(), 7);
    asyncjob::cleanup_thread();
}

void resume_in_hook(ASYNC_JOB* /*job*/, void* arg) {
    auto& job = *static_cast<Job<void>*>(arg);
    if (!job.done()) {
        EXPECT_EQ(code_of([&] { job.resume(); }), Errc::in_hook);
    }
}

TEST(JobMisuse, InASwitchHookSaysSo) {
    auto paused = make_job(nullptr, [] { asyncjob::pause(); });
    paused.resume();
    ASSERT_EQ(asyncjob_add_switch_hooks(resume_in_hook, nullptr, &paused), 1);
    auto job = make_job(nullptr, [] {});
    EXPECT_TRUE(job.resume());
    EXPECT_EQ(asyncjob_remove_switch_hooks(resume_in_hook, nullptr, &paused), 1);
    EXPECT_TRUE(paused.resume());
}

#if GTEST_HAS_DEATH_TEST
// What is left undone would be used by the job's frames, so the program ends, and says why.
TEST(JobDeathTest, DestroyedOnAnotherThreadEndsTheProgram) {
    if (under_tsan)
        GTEST_SKIP() << "ThreadSanitizer's runtime and death tests do not go together";
    EXPECT_DEATH(
        {
            auto job = make_job(nullptr, [] { asyncjob::pause(); });
            job.resume();
            std::thread([job = std::move(job)] {}).join();
        },
        "belongs to another thread");
}

TEST(JobDeathTest, DestroyedByItselfEndsTheProgram) {
    if (under_tsan)
        GTEST_SKIP() << "ThreadSanitizer's runtime and death tests do not go together";
    EXPECT_DEATH(
        {
            auto job = std::make_unique<Job<void>>();
            *job = make_job(nullptr, [&] { job.reset(); });
            job->resume();
        },
        "is running");
    EXPECT_DEATH(
        {
            auto job = std::make_unique<Job<void>>();
            *job = make_job(nullptr, [&] {
                asyncjob::pause();
                job.reset();
            });
            job->resume();
            job->resume();
        },
        "is running");
}
#endif

}  // namespace
}  // namespace test
