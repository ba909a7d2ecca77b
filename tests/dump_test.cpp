// SPDX-License-Identifier: Apache-2.0
// asyncjob_dump(): which jobs it lists and what it says of each; in signal handlers too.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <map>
#include <memory>
#include <sstream>
#include <thread>
#include <vector>

#include "support.hpp"

// Exported, by the program's link options.
extern "C" __attribute__((visibility("default"), noinline)) int dump_test_waits_here(void*) {
    const int resumed = ASYNC_pause_job();
    __asm__ volatile("" ::: "memory");  // no tail call
    return resumed + 6;
}

namespace test {
namespace {

using Line = std::map<std::string, std::string>;

std::vector<Line> lines_of(const std::string& text) {
    std::vector<Line> lines;
    std::istringstream all(text);
    for (std::string one; std::getline(all, one);) {
        std::istringstream words(one);
        Line line;
        for (std::string word; words >> word;)
            line[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
        lines.push_back(line);
    }
    return lines;
}

std::vector<Line> dumped() {
    const int fd = memfd_create("dump", 0);
    EXPECT_EQ(asyncjob_dump(fd), 1);
    std::string text(static_cast<std::size_t>(lseek(fd, 0, SEEK_END)), '\0');
    EXPECT_EQ(pread(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    close(fd);
    return lines_of(text);
}

std::string hex(const void* address) {
    std::ostringstream text;
    text << address;
    return text.str();
}

Line line_of(const std::vector<Line>& lines, ASYNC_JOB* job) {
    for (const Line& line : lines) {
        if (line.at("job") == hex(job))
            return line;
    }
    ADD_FAILURE() << "there is no line of " << hex(job);
    return {};
}

std::string own_thread() {
    return std::to_string(syscall(SYS_gettid));
}

class Dump : public testing::Test {
  protected:
    // Jobs of no other test are there.
    static void in_a_child(const std::function<void()>& body) {
        EXPECT_TRUE(passes_in_child(body));
    }
};

TEST_F(Dump, ListsEachLiveJobAndNoIdleOne) {
    in_a_child([] {
        EXPECT_EQ(asyncjob_dump(1), 1);
        EXPECT_TRUE(dumped().empty());
        EXPECT_EQ(ASYNC_init_thread(0, 9), 1);
        EXPECT_TRUE(dumped().empty());
        TestJob paused([] { ASYNC_pause_job(); });
        EXPECT_EQ(paused.go(), ASYNC_PAUSE);
        TestJob outer([&paused] {
            ASYNC_JOB* const outer_handle = ASYNC_get_current_job();
            TestJob inner([&] {
                const std::vector<Line> lines = dumped();
                EXPECT_EQ(lines.size(), 3U);
                EXPECT_EQ(line_of(lines, ASYNC_get_current_job())["state"], "running");
                EXPECT_EQ(line_of(lines, outer_handle)["state"], "waiting");
                EXPECT_EQ(line_of(lines, paused.handle)["state"], "paused");
                for (Line line : lines)
                    EXPECT_EQ(line["thread"], own_thread());
            });
            EXPECT_EQ(inner.go(), ASYNC_FINISH);
            EXPECT_EQ(dumped().size(), 2U);
        });
        EXPECT_EQ(outer.go(), ASYNC_FINISH);
        EXPECT_EQ(dumped().size(), 1U);
        EXPECT_EQ(paused.go(), ASYNC_FINISH);
        EXPECT_TRUE(dumped().empty());
    });
}

TEST_F(Dump, TellsTheFdsOfTheWaitContext) {
    in_a_child([] {
        ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
        TestJob job([] { ASYNC_pause_job(); }, wait);
        const auto fds = [&job] { return line_of(dumped(), job.handle)["fds"]; };
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(fds(), "-");
        int keys[12];
        EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, &keys[0], 12, nullptr, nullptr), 1);
        EXPECT_EQ(fds(), "12");
        EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, &keys[1], 345, nullptr, nullptr), 1);
        EXPECT_EQ(fds(), "345,12");
        EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(wait, &keys[0]), 1);
        EXPECT_EQ(fds(), "345");
        for (int i = 2; i < 12; ++i)
            EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, &keys[i], i, nullptr, nullptr), 1);
        EXPECT_EQ(fds(), "11,10,9,8,7,6,5,4,...");
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        ASYNC_WAIT_CTX_free(wait);
    });
}

TEST_F(Dump, TellsWhereAJobPausedAndHowMuchStackItUses) {
    in_a_child([] {
        ASYNC_JOB* job = nullptr;
        int result = 0;
        EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, dump_test_waits_here, nullptr, 0),
                  ASYNC_PAUSE);
        Line line = line_of(dumped(), job);
        std::size_t used = 0;
        std::size_t size = 0;
        EXPECT_EQ(std::sscanf(line["stack"].c_str(), "%zu/%zu", &used, &size), 2) << line["stack"];
        EXPECT_GT(used, 0U);
        EXPECT_LT(used, 8 * kib);
        EXPECT_GE(size, 96 * kib);
        EXPECT_LE(size, 100 * kib);
        EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0), ASYNC_FINISH);
        if (!ASYNCJOB_TEST_HAS_PLACES) {
            EXPECT_EQ(line["at"], "-");
            EXPECT_EQ(line["symbol"], "-");
        } else if (!under_asan && !under_tsan) {
            EXPECT_EQ(line["symbol"].substr(0, 23), "dump_test_waits_here+0x");
            const auto at = std::stoull(line["at"], nullptr, 16);
            const auto function = reinterpret_cast<std::uintptr_t>(dump_test_waits_here);
            EXPECT_GT(at, function);
            EXPECT_LT(at, function + 200);
        }
    });
}

TEST_F(Dump, OfADeepJobShowsItsFrames) {
    in_a_child([] {
        TestJob deep([] {
            char frame[50 * 1024];
            // As if all of it were used: a compiler may shrink what is not.
            asm volatile("" : : "r"(frame) : "memory");
            ASYNC_pause_job();
            asm volatile("" : : "r"(frame) : "memory");
        });
        EXPECT_EQ(deep.go(), ASYNC_PAUSE);
        // A sanitizer may have put the frame elsewhere.
        if (!under_asan) {
            EXPECT_GT(std::stoul(line_of(dumped(), deep.handle)["stack"]), 50 * kib);
        }
        EXPECT_EQ(deep.go(), ASYNC_FINISH);
    });
}

// Between two readings of the clock: an age is exact, whatever the machine does meanwhile.
double seconds_now() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

TEST_F(Dump, TellsTheAgeOfPausesWhereTheyAreStamped) {
    in_a_child([] {
        asyncjob_thread_options options;
        asyncjob_options_default(&options, sizeof options);
        TestJob job([] {
            ASYNC_pause_job();
            ASYNC_pause_job();
            ASYNC_pause_job();
        });
        const auto age = [&job] { return line_of(dumped(), job.handle)["age"]; };
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(age(), "-");
        options.stamp_pauses = 1;
        EXPECT_EQ(asyncjob_init_thread(&options), 1);
        EXPECT_EQ(age(), "-") << "paused before";
        const double before = seconds_now();
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        const double after = seconds_now();
        usleep(2000);
        const double early = seconds_now();
        const double seen = std::stod(age());
        const double late = seconds_now();
        constexpr double rounding = 1e-5;
        EXPECT_GE(seen, early - after - rounding);
        EXPECT_LE(seen, late - before + rounding);
        options.stamp_pauses = 0;
        EXPECT_EQ(asyncjob_init_thread(&options), 1);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(age(), "-") << "the age of an earlier pause";
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    });
}

TEST_F(Dump, ListsTheJobsOfOtherThreads) {
    in_a_child([] {
        std::barrier both(2);
        ASYNC_JOB* paused_handle = nullptr;
        ASYNC_JOB* running_handle = nullptr;
        std::string thread_of_jobs;
        std::thread other([&] {
            thread_of_jobs = own_thread();
            ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
            ASYNC_WAIT_CTX_set_wait_fd(wait, &both, 77, nullptr, nullptr);
            TestJob paused([] { ASYNC_pause_job(); }, wait);
            EXPECT_EQ(paused.go(), ASYNC_PAUSE);
            paused_handle = paused.handle;
            TestJob running([&] {
                running_handle = ASYNC_get_current_job();
                both.arrive_and_wait();
                both.arrive_and_wait();
            });
            EXPECT_EQ(running.go(), ASYNC_FINISH);
            EXPECT_EQ(paused.go(), ASYNC_FINISH);
            ASYNC_WAIT_CTX_free(wait);
        });
        both.arrive_and_wait();
        TestJob own([] { ASYNC_pause_job(); });
        EXPECT_EQ(own.go(), ASYNC_PAUSE);
        const std::vector<Line> lines = dumped();
        EXPECT_EQ(lines.size(), 3U);
        EXPECT_EQ(line_of(lines, own.handle)["thread"], own_thread());
        EXPECT_EQ(line_of(lines, paused_handle)["thread"], thread_of_jobs);
        EXPECT_EQ(line_of(lines, paused_handle)["state"], "paused");
        EXPECT_EQ(line_of(lines, paused_handle)["fds"], "77");
        EXPECT_EQ(line_of(lines, running_handle)["thread"], thread_of_jobs);
        EXPECT_EQ(line_of(lines, running_handle)["state"], "running");
        both.arrive_and_wait();
        other.join();
        EXPECT_EQ(dumped().size(), 1U);
        EXPECT_EQ(own.go(), ASYNC_FINISH);
    });
}

int signal_fd = -1;
std::atomic<int> signals_taken = 0;

void dump_on_signal(int) {
    const int before = errno;
    if (asyncjob_dump(signal_fd) == 1)
        signals_taken.fetch_add(1);
    errno = before;
}

void handle_sigusr1() {
    struct sigaction action {};
    action.sa_handler = dump_on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
}

// Whatever the thread is doing when the signal comes: starting, pausing, making jobs, destroying
// them.
TEST_F(Dump, MayBeCalledInAHandlerThatInterruptsAnything) {
    in_a_child([] {
        signal_fd = open("/dev/null", O_WRONLY);
        handle_sigusr1();
        asyncjob_thread_options options;
        asyncjob_options_default(&options, sizeof options);
        options.idle_high_water = 0;
        EXPECT_EQ(asyncjob_init_thread(&options), 1);
        std::atomic<bool> enough = false;
        const pthread_t target = pthread_self();
        std::thread sender([&] {
            constexpr int signals = under_tsan || under_asan ? 100 : 1000;
            for (int sent = 0; sent < signals; ++sent) {
                pthread_kill(target, SIGUSR1);
                const int taken = signals_taken;
                for (int waits = 0; waits < 20 && signals_taken == taken; ++waits)
                    usleep(50);
            }
            enough = true;
        });
        std::uint64_t finished = 0;
        while (!enough) {
            std::vector<std::unique_ptr<TestJob>> jobs;
            for (int i = 0; i < 5; ++i) {
                jobs.push_back(std::make_unique<TestJob>([] { ASYNC_pause_job(); }));
                EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
            }
            for (const auto& job : jobs)
                EXPECT_EQ(job->go(), ASYNC_FINISH);
            finished += jobs.size();
        }
        sender.join();
        EXPECT_GT(signals_taken, 10);
        asyncjob_stats_t stats;
        EXPECT_EQ(asyncjob_stats(&stats, sizeof stats, ASYNCJOB_STATS_THREAD), 1);
        EXPECT_EQ(stats.finished, finished);
    });
}

TEST_F(Dump, WhileOtherThreadsMakeAndDestroyJobsIsOfJobsThatThereAre) {
    in_a_child([] {
        std::atomic<bool> enough = false;
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&enough] {
                int round = 0;
                while (!enough) {
                    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
                    ASYNC_WAIT_CTX_set_wait_fd(wait, &enough, 5, nullptr, nullptr);
                    TestJob job([] { ASYNC_pause_job(); }, wait);
                    EXPECT_EQ(job.go(), ASYNC_PAUSE);
                    EXPECT_EQ(job.go(), ASYNC_FINISH);
                    ASYNC_WAIT_CTX_free(wait);
                    if (++round % 8 == 0)
                        ASYNC_cleanup_thread();
                }
            });
        }
        constexpr int looks = under_tsan || under_asan ? 100 : 1000;
        for (int look = 0; look < looks; ++look)
            EXPECT_LE(dumped().size(), 3U);
        enough = true;
        for (std::thread& thread : threads)
            thread.join();
        EXPECT_TRUE(dumped().empty());
    });
}

TEST_F(Dump, ThatCannotBeWrittenFailsWithErrno) {
    in_a_child([] {
        TestJob job([] { ASYNC_pause_job(); });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        errno = 0;
        EXPECT_EQ(asyncjob_dump(-1), 0);
        EXPECT_EQ(errno, EBADF);
        EXPECT_EQ(asyncjob_last_reason(), 0);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    });
}

}  // namespace
}  // namespace test
