// SPDX-License-Identifier: Apache-2.0
// Exceptions on both sides of a switch, through asyncjob::Job: what is handled, what is in flight,
// and what leaves a job. Built with libstdc++ and with libc++, whose runtimes differ.
#include <exception>

#include "support.hpp"

namespace test {
namespace {

using asyncjob::Cancelled;
using asyncjob::Job;
using asyncjob::make_job;

std::string handled_message() {
    const std::exception_ptr handled = std::current_exception();
    if (handled == nullptr)
        return "none";
    return message_of([&] { std::rethrow_exception(handled); });
}

TEST(Exceptions, LeaveThroughTheResumeThatTheyAreThrownIn) {
    auto job = make_job(nullptr, [] {
        asyncjob::pause();
        throw std::runtime_error("thrown");
    });
    EXPECT_EQ(message_of([&] { job.resume(); }), "");
    EXPECT_EQ(message_of([&] { job.resume(); }), "thrown");
    EXPECT_TRUE(job.done());
    EXPECT_EQ(std::uncaught_exceptions(), 0);
    EXPECT_EQ(std::current_exception(), nullptr);
    expect_no_jobs();
}

TEST(Exceptions, OfAnyTypeLeave) {
    auto job = make_job(nullptr, []() -> int { throw 7; });
    try {
        job.resume();
        ADD_FAILURE() << "it has not thrown";
    } catch (int seven) {
        EXPECT_EQ(seven, 7);
    }
}

TEST(Exceptions, AreDestroyedWhenTheyAreCaught) {
    const auto held = std::make_shared<int>(7);
    auto job = make_job(nullptr, [&] { throw held; });
    try {
        job.resume();
    } catch (const std::shared_ptr<int>&) {
        EXPECT_EQ(held.use_count(), 2);
    }
    EXPECT_EQ(held.use_count(), 1);
}

TEST(Exceptions, HandledByAStarterAreNotSeenInItsJob) {
    try {
        throw std::runtime_error("starter's");
    } catch (const std::exception&) {
        auto job = make_job(nullptr, [] {
            EXPECT_EQ(handled_message(), "none");
            EXPECT_EQ(std::uncaught_exceptions(), 0);
            asyncjob::pause();
            EXPECT_EQ(handled_message(), "none");
        });
        EXPECT_FALSE(job.resume());
        EXPECT_EQ(handled_message(), "starter's");
        EXPECT_TRUE(job.resume());
        EXPECT_EQ(handled_message(), "starter's");
    }
    EXPECT_EQ(handled_message(), "none");
}

// A job that pauses in a catch block, and throws what it handles again.
Job<void> pauses_in_handler(const char* message) {
    return make_job(nullptr, [message] {
        try {
            throw std::runtime_error(message);
        } catch (const std::exception&) {
            asyncjob::pause();
            EXPECT_EQ(handled_message(), message);
            throw;
        }
    });
}

TEST(Exceptions, HandledByJobsStayWithThem) {
    Job<void> first = pauses_in_handler("first");
    Job<void> second = pauses_in_handler("second");
    first.resume();
    EXPECT_EQ(handled_message(), "none");
    second.resume();
    try {
        throw std::runtime_error("starter's");
    } catch (const std::exception&) {
        EXPECT_EQ(message_of([&] { first.resume(); }), "first");
        EXPECT_EQ(handled_message(), "starter's");
    }
    EXPECT_EQ(message_of([&] { second.resume(); }), "second");
    EXPECT_EQ(handled_message(), "none");
}

// Resumes a job in a destructor, while frames unwind or not.
struct ResumesAtEnd {
    ~ResumesAtEnd() {
        before = std::uncaught_exceptions();
        job.resume();
        after = std::uncaught_exceptions();
    }
    Job<void>& job;
    int& before;
    int& after;
};

TEST(Exceptions, InFlightOnBothSidesAreCountedApart) {
    int before = -1;
    int after = -1;
    std::vector<int> counts;
    auto job = make_job(nullptr, [&] {
        struct Pauses {
            ~Pauses() {
                counts.push_back(std::uncaught_exceptions());
                asyncjob::pause();
                counts.push_back(std::uncaught_exceptions());
            }
            std::vector<int>& counts;
        };
        counts.push_back(std::uncaught_exceptions());
        try {
            const Pauses pauses{counts};
            throw std::runtime_error("job's");
        } catch (const std::exception& exception) {
            EXPECT_STREQ(exception.what(), "job's");
            counts.push_back(std::uncaught_exceptions());
        }
    });
    for (int i = 0; i < 2; ++i) {
        try {
            const ResumesAtEnd resumes{job, before, after};
            throw std::logic_error("starter's");
        } catch (const std::logic_error& error) {
            EXPECT_STREQ(error.what(), "starter's");
        }
        EXPECT_EQ(before, 1);
        EXPECT_EQ(after, 1);
        EXPECT_EQ(std::uncaught_exceptions(), 0);
    }
    EXPECT_TRUE(job.done());
    EXPECT_EQ(counts, (std::vector{0, 1, 1, 0}));
}

TEST(Exceptions, LeaveAJobThatIsResumedWhileFramesUnwind) {
    std::string message;
    struct Catches {
        ~Catches() {
            auto job = make_job(nullptr, [] { throw std::runtime_error("job's"); });
            message = message_of([&] { job.resume(); });
        }
        std::string& message;
    };
    EXPECT_EQ(message_of([&] {
                  const Catches catches{message};
                  throw std::logic_error("starter's");
              }),
              "starter's");
    EXPECT_EQ(message, "job's");
}

TEST(Exceptions, PassThroughNestedJobs) {
    auto outer = make_job(nullptr, [] {
        auto inner = make_job(nullptr, [] {
            auto innermost = make_job(nullptr, [] {
                asyncjob::pause();
                throw std::runtime_error("innermost");
            });
            while (!innermost.resume())
                asyncjob::pause();
        });
        while (!inner.resume())
            asyncjob::pause();
    });
    EXPECT_FALSE(outer.resume());
    EXPECT_EQ(message_of([&] { outer.resume(); }), "innermost");
    expect_no_jobs();
}

TEST(Exceptions, ThatWereKeptAreRethrownOnTheOtherSide) {
    std::exception_ptr kept;
    auto keeps = make_job(nullptr, [&] {
        try {
            throw std::runtime_error("kept");
        } catch (...) {
            kept = std::current_exception();
            asyncjob::pause();
        }
    });
    keeps.resume();
    EXPECT_EQ(message_of([&] { std::rethrow_exception(kept); }), "kept");
    auto rethrows = make_job(nullptr, [&] { std::rethrow_exception(kept); });
    EXPECT_EQ(message_of([&] { rethrows.resume(); }), "kept");
    keeps.resume();
    EXPECT_EQ(message_of([&] { std::rethrow_exception(kept); }), "kept");
}

TEST(Exceptions, MayBeNestedInOneAnother) {
    auto job = make_job(nullptr, [] {
        try {
            throw std::runtime_error("inner");
        } catch (...) {
            asyncjob::pause();
            std::throw_with_nested(std::runtime_error("outer"));
        }
    });
    job.resume();
    try {
        job.resume();
        ADD_FAILURE() << "it has not thrown";
    } catch (const std::exception& exception) {
        EXPECT_STREQ(exception.what(), "outer");
        EXPECT_EQ(message_of([&] { std::rethrow_if_nested(exception); }), "inner");
    }
}

TEST(Exceptions, InAnyOrderOfManyJobs) {
    constexpr int count = 50;
    std::vector<Job<void>> jobs;
    for (int i = 0; i < count; ++i) {
        jobs.push_back(make_job(nullptr, [i] {
            try {
                throw i;
            } catch (int own) {
                for (int pauses = 0; pauses < i % 5; ++pauses)
                    asyncjob::pause();
                EXPECT_EQ(own, i);
                throw;
            }
        }));
    }
    int left = count;
    for (int turn = 0; left > 0; ++turn) {
        ASSERT_LT(turn, 100 * count);
        const int at = (turn * 17) % count;  // 17 and 50 have no common divisor
        try {
            if (!jobs[static_cast<std::size_t>(at)].done())
                jobs[static_cast<std::size_t>(at)].resume();
        } catch (int own) {
            EXPECT_EQ(own, at);
            --left;
        }
    }
    expect_no_jobs();
}

// Cancelled.

TEST(ExceptionsCancelled, PassesHandlersOfStdExceptions) {
    bool was_handled = false;
    auto job = make_job(nullptr, [&] {
        try {
            asyncjob::pause();
        } catch (const std::exception&) {
            was_handled = true;
        }
    });
    job.resume();
    job.cancel();
    EXPECT_FALSE(was_handled);
    EXPECT_THROW(job.result(), Cancelled);
}

TEST(ExceptionsCancelled, IsNotThrownByDestructorsWhileItUnwinds) {
    std::vector<std::string> said;
    struct Pauses {
        ~Pauses() {
            asyncjob::pause();
            said.push_back(asyncjob::this_job::cancelled() ? "cancelled" : "not cancelled");
        }
        std::vector<std::string>& said;
    };
    auto job = make_job(nullptr, [&] {
        const Pauses outer{said};
        const Pauses inner{said};
        asyncjob::pause();
        said.push_back("not reached");
    });
    job.resume();
    job.cancel();
    EXPECT_EQ(said, (std::vector<std::string>{"cancelled", "cancelled"}));
    EXPECT_THROW(job.result(), Cancelled);
}

TEST(ExceptionsCancelled, LeavesAnotherExceptionInFlightAsItIs) {
    auto job = make_job(nullptr, [] {
        struct Pauses {
            ~Pauses() {
                asyncjob::pause();
                EXPECT_TRUE(asyncjob::this_job::cancelled());
            }
        };
        const Pauses pauses;
        throw std::runtime_error("in flight");
    });
    EXPECT_FALSE(job.resume());
    EXPECT_EQ(message_of([&] { job.cancel(); }), "in flight");
}

TEST(ExceptionsCancelled, IsThrownInAHandlerToo) {
    auto job = make_job(nullptr, [] {
        try {
            throw std::runtime_error("handled");
        } catch (const std::exception&) {
            asyncjob::pause();
        }
    });
    job.resume();
    job.cancel();
    EXPECT_THROW(job.result(), Cancelled);
    EXPECT_EQ(std::current_exception(), nullptr);
}

TEST(ExceptionsCancelled, UnwindsJobsThatFramesOwnWhileTheyUnwind) {
    int frames = 0;
    EXPECT_EQ(message_of([&] {
                  auto job = make_job(nullptr, [&] {
                      auto inner = make_job(nullptr, [&] { pause_for_ever(frames); });
                      inner.resume();
                      try {
                          throw std::logic_error("job's");
                      } catch (const std::logic_error&) {
                          pause_for_ever(frames);
                      }
                  });
                  job.resume();
                  EXPECT_EQ(frames, 2);
                  throw std::runtime_error("owner's");
              }),
              "owner's");
    EXPECT_EQ(frames, 0);
    expect_no_jobs();
}

TEST(ExceptionsCancelled, OfAnInnerJobMayLeaveTheOuterAsAnyExceptionDoes) {
    auto outer = make_job(nullptr, [] {
        auto inner = make_job(nullptr, [] { asyncjob::pause(); });
        inner.resume();
        inner.cancel();
        inner.result();
    });
    EXPECT_THROW(outer.resume(), Cancelled);
    EXPECT_TRUE(outer.done());
}

}  // namespace
}  // namespace test
