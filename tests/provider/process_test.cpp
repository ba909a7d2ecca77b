// SPDX-License-Identifier: Apache-2.0
// Processes: forks, exits, many threads.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include "support.hpp"

namespace {

using namespace test;

// A key that keeps a worker busy for a while. Tools make any key slow.
KeyType slow_key() {
    return memory_is_watched() ? KeyType::rsa : KeyType::large_rsa;
}

// A process with work for its worker: signatures with such a key, their jobs paused.
class InFlight {
  public:
    explicit InFlight(std::size_t count) : key_(key_in(library_.get(), slow_key())) {
        for (std::size_t at = 0; at < count; ++at) {
            auto& one = jobs_.emplace_back(std::make_unique<One>());
            one->job = std::make_unique<TestJob>([this, &one = *one] { return sign(one); },
                                                 one->wait.get());
        }
    }

    void pause_all() {
        for (auto& one : jobs_)
            one->job->go();
    }
    void finish_all() {
        for (auto& one : jobs_) {
            if (one->job->handle != nullptr || one->job->result == -1)
                run_to_end(*one->job, one->wait.get());
            EXPECT_EQ(one->job->result, 1);
        }
    }

  private:
    struct One {
        WaitCtxPtr wait = new_wait_ctx();
        std::unique_ptr<TestJob> job;
    };

    int sign(One& /*one*/) {
        const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(library_.get(), key_.get(), nullptr));
        const Bytes digest(32, 1);
        Bytes out(512);
        std::size_t length = out.size();
        EXPECT_EQ(EVP_PKEY_sign_init(context.get()), 1);
        return EVP_PKEY_sign(context.get(), out.data(), &length, digest.data(), digest.size());
    }

    Library library_;
    PkeyPtr key_;
    std::vector<std::unique_ptr<One>> jobs_;
};

class Process : public testing::Test {
  protected:
    void SetUp() override {
        if (under_asan || under_tsan)
            GTEST_SKIP() << "the tool's own locks do not survive a fork with threads";
        (void)key_in(nullptr, slow_key());  // once, and not in each child
    }
};

TEST_F(Process, AChildMakesWorkersOfItsOwnAndTheParentsGoOn) {
    EXPECT_TRUE(passes_in_child([] {
        InFlight parents(4);
        parents.pause_all();
        const int before = interpose::threads;
        EXPECT_TRUE(passes_in_child([before] {
            InFlight childs(4);
            childs.pause_all();
            EXPECT_EQ(interpose::threads, before + 1);
            childs.finish_all();
        }));
        parents.finish_all();
        InFlight later(4);
        later.pause_all();
        later.finish_all();
        EXPECT_EQ(interpose::threads, before);
    }));
}

// Workers hold locks for moments; a child that was forked in such a moment must not wait
// for a thread that it does not have.
TEST_F(Process, ForksWhileWorkersWorkDoNotHangTheChild) {
    const InnerReset reset;
    const int rounds = memory_is_watched() ? 10 : 200;
    EXPECT_TRUE(passes_in_child([rounds] {
        std::atomic<bool> stop{false};
        std::thread busy([&stop] {
            const DeviceLibrary library;
            while (!stop) {
                DeviceSignature signature(library);
                const WaitCtxPtr wait = new_wait_ctx();
                TestJob job([&] { return signature.sign(); }, wait.get());
                run_to_end(job, wait.get());
            }
        });
        const Library library;
        const PkeyPtr key = key_in(library.get(), KeyType::rsa);
        for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
            EXPECT_TRUE(passes_in_child([&] {
                alarm(20);
                const PkeyCtxPtr context(
                    EVP_PKEY_CTX_new_from_pkey(library.get(), key.get(), nullptr));
                const WaitCtxPtr wait = new_wait_ctx();
                Bytes out(256);
                TestJob job(
                    [&] {
                        std::size_t length = out.size();
                        EXPECT_EQ(EVP_PKEY_sign_init(context.get()), 1);
                        return EVP_PKEY_sign(context.get(), out.data(), &length, out.data(), 32);
                    },
                    wait.get());
                run_to_end(job, wait.get());
                EXPECT_EQ(job.result, 1);
            }));
        }
        stop = true;
        busy.join();
    }));
}

// S14: the parent's paused jobs are valid in the child; but the worker that had their work
// stayed behind.
TEST_F(Process, AJobPausedInTheParentEndsInTheChild) {
    const InnerReset reset;
    const DeviceLibrary library;
    DeviceSignature signature(library);
    const WaitCtxPtr wait = new_wait_ctx();
    TestJob job([&] { return signature.sign(); }, wait.get());
    tell_inner([](auto& told) { told.hold = true; });
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    wait_for_inner([](auto& told) { return told.holding == 1; });
    EXPECT_TRUE(passes_in_child([&] {
        alarm(20);
        int resumes = 0;
        while (job.go() == ASYNC_PAUSE && resumes < 100) {
            ++resumes;
            usleep(1000);
        }
        EXPECT_LT(resumes, 100);
        EXPECT_EQ(job.handle, nullptr);
    }));
    tell_inner([](auto& told) { told.hold = false; });
    EXPECT_EQ(run_to_end(job, wait.get()), 0);
    EXPECT_EQ(job.result, 1);
}

TEST_F(Process, ExitWithWorkInFlightIsClean) {
    for (int round = 0; round < 5; ++round) {
        EXPECT_TRUE(passes_in_child([] {
            auto* const work = new InFlight(16);
            work->pause_all();
            std::exit(testing::Test::HasFailure() ? 1 : 0);
        }));
    }
}

// OPENSSL_cleanup() by the application's own hand, and operations behind it fail or compute
// in place, but do not crash.
TEST_F(Process, ExitWhileTheDeviceComputesWaitsForIt) {
    const InnerReset reset;
    EXPECT_TRUE(passes_in_child([] {
        auto* const library = new DeviceLibrary;
        auto* const signature = new DeviceSignature(*library);
        auto* const wait = ASYNC_WAIT_CTX_new();
        auto* const job = new TestJob([signature] { return signature->sign(); }, wait);
        tell_inner([](auto& told) { told.hold = true; });
        EXPECT_EQ(job->go(), ASYNC_PAUSE);
        wait_for_inner([](auto& told) { return told.holding == 1; });
        std::thread([] {
            usleep(100'000);
            tell_inner([](auto& told) { told.hold = false; });
        }).detach();
        std::exit(testing::Test::HasFailure() ? 1 : 0);
    }));
}

// A program that signs, frees all it has and ends.
TEST_F(Process, ExitAfterTheLibraryContextIsFreedIsClean) {
    EXPECT_TRUE(passes_in_child([] {
        {
            InFlight work(2);
            work.pause_all();
            work.finish_all();
        }
        std::exit(testing::Test::HasFailure() ? 1 : 0);
    }));
}

// The server's thread has a job to pause, and others to serve.
TEST_F(Process, WorkersGiveWayToTheThreadThatWakesThem) {
    EXPECT_TRUE(passes_in_child([] {
        InFlight work(1);
        work.pause_all();
        work.finish_all();
        EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
        int workers = 0;
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
            const pid_t thread = std::stoi(task.path().filename());
            if (thread == getpid())
                continue;
            ++workers;
            EXPECT_EQ(sched_getscheduler(thread), SCHED_BATCH);
        }
        EXPECT_EQ(workers, 1);
    }));
}

// No worker before there is work: servers load their configuration and then fork.
TEST_F(Process, LoadingAndWorkingInPlaceStartNoThread) {
    EXPECT_TRUE(passes_in_child([] {
        const int before = interpose::threads;
        const Library library;
        const PkeyPtr key = key_in(library.get(), KeyType::rsa);
        const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(library.get(), key.get(), nullptr));
        Bytes out(256);
        std::size_t length = out.size();
        EXPECT_EQ(EVP_PKEY_sign_init(context.get()), 1);
        EXPECT_EQ(EVP_PKEY_sign(context.get(), out.data(), &length, out.data(), 32), 1);
        EXPECT_EQ(interpose::threads, before);
    }));
}

TEST(Threads, ManyJobsOnSeveralThreads) {
    constexpr int threads = 4;
    constexpr int rounds = 4;
    constexpr std::size_t jobs_at_once = 8;
    const Library library(Options{{"operations", "all"}});
    const PkeyPtr key = key_in(library.get(), KeyType::rsa);
    std::atomic<int> right{0};
    const auto work = [&] {
        struct One {
            WaitCtxPtr wait = new_wait_ctx();
            Bytes out = Bytes(256);
            std::unique_ptr<TestJob> job;
        };
        std::vector<One> all(jobs_at_once);
        for (int round = 0; round < rounds; ++round) {
            for (One& one : all) {
                one.job = std::make_unique<TestJob>(
                    [&] {
                        const PkeyCtxPtr context(
                            EVP_PKEY_CTX_new_from_pkey(library.get(), key.get(), nullptr));
                        std::size_t length = one.out.size();
                        return EVP_PKEY_sign_init(context.get()) == 1
                                   ? EVP_PKEY_sign(context.get(), one.out.data(), &length,
                                                   one.out.data(), 32)
                                   : 0;
                    },
                    one.wait.get());
                one.job->go();
            }
            for (One& one : all) {
                if (one.job->handle != nullptr)
                    run_to_end(*one.job, one.wait.get());
                right += one.job->result == 1 ? 1 : 0;
            }
        }
        ASYNC_cleanup_thread();
    };
    std::vector<std::thread> all;
    for (int at = 0; at < threads; ++at)
        all.emplace_back(work);
    for (std::thread& thread : all)
        thread.join();
    EXPECT_EQ(right, threads * rounds * static_cast<int>(jobs_at_once));
}

}  // namespace
