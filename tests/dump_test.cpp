// SPDX-License-Identifier: Apache-2.0
// asyncjob_dump(): which jobs it lists and what it says of each; in signal handlers too.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <functional>
#include <limits>
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

namespace {

std::atomic<bool> locks_are_taken = false;
std::function<void()> in_constructor;

}  // namespace

// Binds before libc's, for the library under test.
#if !ASYNCJOB_TEST_TSAN
extern "C" __attribute__((visibility("default"))) int pthread_mutex_trylock(pthread_mutex_t* lock) {
    static const auto next =
        reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_trylock"));
    return locks_are_taken ? EBUSY : next(lock);
}
#endif

// Called by the plugin's constructor, while the loader's lock is held by its thread.
extern "C" __attribute__((visibility("default"))) void asyncjob_test_in_constructor() {
    in_constructor();
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

std::string text_dumped(int fd = memfd_create("dump", 0)) {
    EXPECT_EQ(asyncjob_dump(fd), 1);
    std::string text(static_cast<std::size_t>(lseek(fd, 0, SEEK_END)), '\0');
    EXPECT_EQ(pread(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    close(fd);
    return text;
}

std::vector<Line> dumped() {
    return lines_of(text_dumped());
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
            EXPECT_EQ(std::stoull(line["symbol"].substr(23), nullptr, 16), at - function);
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

using Jobs = std::vector<std::unique_ptr<TestJob>>;

Jobs paused_jobs(std::size_t count) {
    Jobs jobs;
    for (std::size_t i = 0; i < count; ++i) {
        jobs.push_back(std::make_unique<TestJob>([] { ASYNC_pause_job(); }));
        EXPECT_EQ(jobs.back()->go(), ASYNC_PAUSE);
    }
    return jobs;
}

void finish(Jobs& jobs) {
    for (const auto& job : jobs)
        EXPECT_EQ(job->go(), ASYNC_FINISH);
    jobs.clear();
}

TEST_F(Dump, OfManyJobsOfSeveralThreadsHasEachOnce) {
    in_a_child([] {
        constexpr std::size_t threads = 5;
        std::barrier all(threads + 1);
        std::vector<std::thread> others;
        for (std::size_t i = 0; i < threads; ++i) {
            others.emplace_back([&all, i] {
                Jobs jobs = paused_jobs(13 * i);
                all.arrive_and_wait();
                all.arrive_and_wait();
                finish(jobs);
            });
        }
        all.arrive_and_wait();
        Jobs own = paused_jobs(32);
        std::map<std::string, int> lines_of_thread;
        std::map<std::string, int> lines_of_job;
        for (const Line& line : dumped()) {
            ++lines_of_thread[line.at("thread")];
            ++lines_of_job[line.at("job")];
        }
        EXPECT_EQ(lines_of_job.size(), 32U + 13 * (1 + 2 + 3 + 4));
        for (const auto& [job, lines] : lines_of_job)
            EXPECT_EQ(lines, 1) << job;
        EXPECT_EQ(lines_of_thread.size(), threads) << "one has no jobs";
        EXPECT_EQ(lines_of_thread[own_thread()], 32);
        all.arrive_and_wait();
        for (std::thread& other : others)
            other.join();
        finish(own);
    });
}

// A dump that waits in write(), for a reader.
class StuckDump {
  public:
    StuckDump() {
        EXPECT_EQ(pipe(ends_), 0);
        size_ = fcntl(ends_[1], F_SETPIPE_SZ, 4096);
        EXPECT_GT(size_, 0);
        thread_ = std::thread([this] {
            EXPECT_EQ(asyncjob_dump(ends_[1]), 1);
            close(ends_[1]);
        });
        pollfd first{ends_[0], POLLIN, 0};
        EXPECT_EQ(poll(&first, 1, 60'000), 1);
    }
    std::vector<Line> lines() {
        std::string text;
        char some[512];
        for (ssize_t size = 0; (size = read(ends_[0], some, sizeof some)) > 0;)
            text.append(some, static_cast<std::size_t>(size));
        EXPECT_GT(text.size(), static_cast<std::size_t>(size_)) << "it was not stuck";
        thread_.join();
        close(ends_[0]);
        return lines_of(text);
    }

  private:
    int ends_[2] = {-1, -1};
    int size_ = 0;
    std::thread thread_;
};

TEST_F(Dump, ThatNobodyReadsHoldsNeitherJobsNorThreadsNorForksUp) {
    in_a_child([] {
        alarm(60);
        asyncjob_thread_options options;
        asyncjob_options_default(&options, sizeof options);
        options.idle_high_water = 0;
        EXPECT_EQ(asyncjob_init_thread(&options), 1);
        Jobs jobs = paused_jobs(100);
        std::map<std::string, int> lines_of_job;
        StuckDump stuck;
        // The newest, which has been seen, and many, of which the last one that was seen is one.
        std::unique_ptr<TestJob> gone = std::move(jobs.back());
        jobs.pop_back();
        for (int i = 30; i < 70; ++i)
            EXPECT_EQ(jobs[i]->go(), ASYNC_FINISH);  // and is destroyed
        jobs.erase(jobs.begin() + 30, jobs.begin() + 70);
        EXPECT_EQ(gone->go(), ASYNC_FINISH);
        Jobs later = paused_jobs(40);
        if (!under_tsan) {
            EXPECT_TRUE(passes_in_child([] { expect_jobs_work(); }));
        }
        std::thread(expect_jobs_work).join();
        for (const Line& line : stuck.lines())
            ++lines_of_job[line.at("job")];
        for (const auto& job : jobs)
            EXPECT_EQ(lines_of_job[hex(job->handle)], 1);
        for (const auto& job : later)
            EXPECT_EQ(lines_of_job[hex(job->handle)], 0);
        finish(jobs);
        finish(later);
    });
}

// The thread of a constructor has the loader's lock, which the look-up of a symbol waits for.
TEST_F(Dump, WaitsForTheLoaderWithoutHoldingUpAConstructorThatUsesJobs) {
    in_a_child([] {
        alarm(60);
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        // What it finds in other libraries by a look-up, it finds now.
        EXPECT_TRUE(dumped().empty());
        std::barrier ready(2);
        std::barrier loading(2);
        std::thread dumping([&] {
            // The line of the running job comes first, and needs no symbol.
            TestJob paused([] { ASYNC_pause_job(); });
            EXPECT_EQ(paused.go(), ASYNC_PAUSE);
            TestJob running([&] {
                ready.arrive_and_wait();
                loading.arrive_and_wait();
                EXPECT_EQ(asyncjob_dump(ends[1]), 1);
            });
            EXPECT_EQ(running.go(), ASYNC_FINISH);
            EXPECT_EQ(paused.go(), ASYNC_FINISH);
        });
        ready.arrive_and_wait();
        in_constructor = [&] {
            loading.arrive_and_wait();
            pollfd line{ends[0], POLLIN, 0};
            EXPECT_EQ(poll(&line, 1, 30'000), 1);
            expect_jobs_work();
        };
        void* const plugin = dlopen(LOADER_PLUGIN, RTLD_NOW);
        EXPECT_NE(plugin, nullptr) << dlerror();
        dumping.join();
        close(ends[1]);
        std::string text(4096, '\0');
        text.resize(static_cast<std::size_t>(read(ends[0], text.data(), text.size())));
        close(ends[0]);
        const std::vector<Line> lines = lines_of(text);
        ASSERT_EQ(lines.size(), 2U) << text;
        EXPECT_EQ(lines[0].at("state"), "running");
        EXPECT_EQ(lines[1].at("state"), "paused");
    });
}

// As some containers do.
void refuse_process_vm_readv() {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{sizeof filter / sizeof filter[0], filter};
    EXPECT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    EXPECT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST_F(Dump, SaysTheSameWhereOneMayNotReadProcessMemory) {
    if (emulated)
        GTEST_SKIP() << "qemu-user refuses filters of system calls";
    in_a_child([] {
        ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
        EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, wait, 12, nullptr, nullptr), 1);
        TestJob job([] { ASYNC_pause_job(); }, wait);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        const std::string before = text_dumped();
        EXPECT_EQ(lines_of(before).size(), 1U);
        refuse_process_vm_readv();
        errno = ENOENT;
        EXPECT_EQ(text_dumped(), before);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        ASYNC_WAIT_CTX_free(wait);
    });
}

TEST_F(Dump, ThatCannotLookAtJobsSaysSo) {
    if (emulated)
        GTEST_SKIP() << "qemu-user refuses filters of system calls";
    in_a_child([] {
        Jobs jobs = paused_jobs(3);
        refuse_process_vm_readv();
        const int fd = memfd_create("dump", 0);
        rlimit none{};
        EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &none), 0);
        none.rlim_cur = 0;
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
        errno = ENOENT;
        EXPECT_EQ(asyncjob_dump(fd), 1);
        EXPECT_EQ(errno, ENOENT);
        EXPECT_EQ(
            text_dumped(fd),
            std::string("# jobs cannot be looked at: process_vm_readv() is refused, and there "
                        "is no pipe to be had\n") +
                "# jobs cannot be looked at: process_vm_readv() is refused, and there is no "
                "pipe to be had\n");
        finish(jobs);
    });
}

TEST_F(Dump, ShowsFdsAsTheyAre) {
    in_a_child([] {
        ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
        int keys[3];
        int key = 0;
        for (const int fd : {0, -1, std::numeric_limits<int>::min()})
            EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, &keys[key++], fd, nullptr, nullptr), 1);
        TestJob job([] { ASYNC_pause_job(); }, wait);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(line_of(dumped(), job.handle)["fds"], "-2147483648,-1,0");
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        ASYNC_WAIT_CTX_free(wait);
    });
}

// It waits for the lock with poll(), which signals interrupt.
TEST_F(Dump, LeavesErrnoAndSaysThatALockIsHeld) {
    if (under_tsan)
        GTEST_SKIP() << "the tool has a pthread_mutex_trylock() of its own";
    in_a_child([] {
        Jobs jobs = paused_jobs(2);
        struct sigaction interrupts {};
        interrupts.sa_handler = [](int) {};
        sigaction(SIGALRM, &interrupts, nullptr);
        const itimerval often{{0, 300}, {0, 300}};
        EXPECT_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
        const int fd = memfd_create("dump", 0);
        locks_are_taken = true;
        errno = ENOENT;
        const int done = asyncjob_dump(fd);
        const int after = errno;
        locks_are_taken = false;
        const itimerval never{};
        EXPECT_EQ(setitimer(ITIMER_REAL, &never, nullptr), 0);
        EXPECT_EQ(done, 1);
        EXPECT_EQ(after, ENOENT);
        const std::string text = text_dumped(fd);
        EXPECT_EQ(text.substr(0, text.find('\n')), "# the list of threads is in use: try again");
        EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
        finish(jobs);
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
