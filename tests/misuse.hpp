// SPDX-License-Identifier: Apache-2.0
// Every way to use the interface wrongly that a caller can bring about at will, with the
// reason that it must get (S4, S28). capi_test looks for the reason without libcrypto in the
// process, host_test on libcrypto's error queue.
#pragma once

#include <cstdint>
#include <ctime>
#include <limits>
#include <thread>
#include <vector>

#include "support.hpp"

namespace test {

// A thread that holds a job until this object is destroyed: paused, or running.
class ForeignJob {
  public:
    explicit ForeignJob(bool running) : thread_([this, running] { hold(running); }) {
        while (handle.load(std::memory_order_acquire) == nullptr)
            std::this_thread::yield();
    }
    ~ForeignJob() {
        done_.store(true, std::memory_order_release);
        thread_.join();
    }
    ForeignJob(const ForeignJob&) = delete;
    ForeignJob& operator=(const ForeignJob&) = delete;

    std::atomic<ASYNC_JOB*> handle = nullptr;

  private:
    void hold(bool running) {
        TestJob job([this, running] {
            if (running) {
                handle.store(ASYNC_get_current_job(), std::memory_order_release);
                wait_until_done();
            } else {
                EXPECT_EQ(ASYNC_pause_job(), 1);
            }
        });
        if (job.go() == ASYNC_PAUSE) {
            handle.store(job.handle, std::memory_order_release);
            wait_until_done();
            EXPECT_EQ(job.go(), ASYNC_FINISH);  // whatever was tried meanwhile
        }
    }
    void wait_until_done() {
        while (!done_.load(std::memory_order_acquire))
            std::this_thread::yield();
    }

    std::atomic<bool> done_ = false;
    std::thread thread_;
};

// Tries to resume a job that must not be, or to start one (NULL); nothing may be written or run.
inline int start_wrongly(ASYNC_JOB* const handle) {
    ASYNC_JOB* job = handle;
    int result = 99;
    const int status = ASYNC_start_job(&job, nullptr, &result, return_seven, nullptr, 0);
    EXPECT_EQ(job, handle);
    EXPECT_EQ(result, 99);
    return status;
}

// Tries to cancel a job that must not be; nothing may be written or run.
inline int cancel_wrongly(ASYNC_JOB* const handle) {
    ASYNC_JOB* job = handle;
    int result = 99;
    const int status = asyncjob_cancel(&job, &result);
    EXPECT_EQ(job, handle);
    EXPECT_EQ(result, 99);
    return status;
}

// Asks for the handle of a job that must not be; nothing may be written.
inline int get_handle_wrongly(ASYNC_JOB* job) {
    char untouched = 0;
    asyncjob_handle handle{&untouched, 99};
    const int status = asyncjob_get_handle(job, &handle);
    EXPECT_EQ(handle.slot, &untouched);
    EXPECT_EQ(handle.generation, 99U);
    return status;
}

inline ASYNC_JOB* handle_of_finished_job() {
    TestJob job([] { ASYNC_pause_job(); });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    ASYNC_JOB* const handle = job.handle;
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    return handle;
}

struct Misuse {
    const char* name;
    int reason;
    int (*provoke)();  // returns what the call returned, which must be 0
};

inline std::ostream& operator<<(std::ostream& out, const Misuse& misuse) {
    return out << misuse.name;
}

inline std::string name_of(const testing::TestParamInfo<Misuse>& info) {
    return info.param.name;
}

inline ASYNC_WAIT_CTX* const no_context = nullptr;

inline const std::vector<Misuse> misuses = {
    {"StartNullHandle", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         int result = 0;
         return ASYNC_start_job(nullptr, nullptr, &result, return_seven, nullptr, 0);
     }},
    {"StartNullResult", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         ASYNC_JOB* job = nullptr;
         return ASYNC_start_job(&job, nullptr, nullptr, return_seven, nullptr, 0);
     }},
    {"StartNullFunction", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         ASYNC_JOB* job = nullptr;
         int result = 99;
         const int status = ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0);
         EXPECT_EQ(job, nullptr);
         EXPECT_EQ(result, 99);
         return status;
     }},
    {"ResumeNullResult", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         TestJob job([] { ASYNC_pause_job(); });
         EXPECT_EQ(job.go(), ASYNC_PAUSE);
         const int status =
             ASYNC_start_job(&job.handle, nullptr, nullptr, return_seven, nullptr, 0);
         EXPECT_EQ(job.go(), ASYNC_FINISH);
         return status;
     }},
    {"ResumeFinished", ASYNCJOB_R_JOB_NOT_PAUSED,
     [] { return start_wrongly(handle_of_finished_job()); }},
    {"ResumeFreed", ASYNCJOB_R_JOB_NOT_PAUSED,
     [] {
         ASYNC_JOB* const handle = handle_of_finished_job();
         ASYNC_cleanup_thread();
         return start_wrongly(handle);
     }},
    {"ResumeOfAnEndedThreadsPool", ASYNCJOB_R_JOB_NOT_PAUSED,
     [] {
         ASYNC_JOB* handle = nullptr;
         std::thread([&] { handle = handle_of_finished_job(); }).join();
         return start_wrongly(handle);
     }},
    {"ResumeRunning", ASYNCJOB_R_JOB_RUNNING,
     [] {
         TestJob job([] { return start_wrongly(ASYNC_get_current_job()); });
         EXPECT_EQ(job.go(), ASYNC_FINISH);
         return job.result;
     }},
    {"ResumeOuterOfNested", ASYNCJOB_R_JOB_RUNNING,
     [] {
         TestJob outer([] {
             ASYNC_JOB* const waiting = ASYNC_get_current_job();
             TestJob inner([waiting] { return start_wrongly(waiting); });
             EXPECT_EQ(inner.go(), ASYNC_FINISH);
             EXPECT_EQ(ASYNC_get_current_job(), waiting);
             return inner.result;
         });
         EXPECT_EQ(outer.go(), ASYNC_FINISH);
         return outer.result;
     }},
    {"ResumeForeignPaused", ASYNCJOB_R_FOREIGN_THREAD,
     [] {
         const ForeignJob foreign(false);
         return start_wrongly(foreign.handle);
     }},
    {"ResumeForeignRunning", ASYNCJOB_R_FOREIGN_THREAD,
     [] {
         const ForeignJob foreign(true);
         return start_wrongly(foreign.handle);
     }},
    {"ResumeForeignInsideAJob", ASYNCJOB_R_FOREIGN_THREAD,
     [] {
         const ForeignJob foreign(false);
         TestJob job([&] { return start_wrongly(foreign.handle); });
         EXPECT_EQ(job.go(), ASYNC_FINISH);
         return job.result;
     }},
    {"ResumeLeftBehind", ASYNCJOB_R_FOREIGN_THREAD,
     [] {
         ASYNC_JOB* handle = nullptr;
         std::thread([&] {
             int result = 0;
             EXPECT_EQ(ASYNC_start_job(&handle, nullptr, &result, pause_once, nullptr, 0),
                       ASYNC_PAUSE);
         }).join();
         return start_wrongly(handle);
     }},
    {"CancelNullVariable", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         int result = 0;
         return asyncjob_cancel(nullptr, &result);
     }},
    {"CancelNullHandle", ASYNCJOB_R_NULL_ARGUMENT, [] { return cancel_wrongly(nullptr); }},
    {"CancelNullResult", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         TestJob job([] { EXPECT_EQ(ASYNC_pause_job(), 1); });
         EXPECT_EQ(job.go(), ASYNC_PAUSE);
         const int status = asyncjob_cancel(&job.handle, nullptr);
         EXPECT_EQ(job.go(), ASYNC_FINISH);
         return status;
     }},
    {"CancelFinished", ASYNCJOB_R_JOB_NOT_PAUSED,
     [] { return cancel_wrongly(handle_of_finished_job()); }},
    {"CancelFreed", ASYNCJOB_R_JOB_NOT_PAUSED,
     [] {
         ASYNC_JOB* const handle = handle_of_finished_job();
         ASYNC_cleanup_thread();
         return cancel_wrongly(handle);
     }},
    {"CancelRunning", ASYNCJOB_R_JOB_RUNNING,
     [] {
         TestJob job([] {
             const int status = cancel_wrongly(ASYNC_get_current_job());
             EXPECT_EQ(asyncjob_cancelled(), 0);
             EXPECT_EQ(ASYNC_pause_job(), 1);
             return status;
         });
         EXPECT_EQ(job.go(), ASYNC_PAUSE);
         EXPECT_EQ(job.go(), ASYNC_FINISH);
         return job.result;
     }},
    {"CancelOuterOfNested", ASYNCJOB_R_JOB_RUNNING,
     [] {
         TestJob outer([] {
             ASYNC_JOB* const waiting = ASYNC_get_current_job();
             TestJob inner([waiting] { return cancel_wrongly(waiting); });
             EXPECT_EQ(inner.go(), ASYNC_FINISH);
             EXPECT_EQ(ASYNC_pause_job(), 1);
             return inner.result;
         });
         EXPECT_EQ(outer.go(), ASYNC_PAUSE);
         EXPECT_EQ(outer.go(), ASYNC_FINISH);
         return outer.result;
     }},
    {"CancelForeignPaused", ASYNCJOB_R_FOREIGN_THREAD,
     [] {
         const ForeignJob foreign(false);
         return cancel_wrongly(foreign.handle);
     }},
    {"CancelForeignRunning", ASYNCJOB_R_FOREIGN_THREAD,
     [] {
         const ForeignJob foreign(true);
         return cancel_wrongly(foreign.handle);
     }},
    {"ArgumentsOfHalfTheAddressSpace", ASYNCJOB_R_NO_MEMORY,
     [] {
         ASYNC_JOB* job = nullptr;
         int result = 99;
         char byte = 0;
         const int status = ASYNC_start_job(&job, nullptr, &result, return_seven, &byte,
                                            std::numeric_limits<std::size_t>::max() / 2);
         EXPECT_EQ(job, nullptr);
         EXPECT_EQ(result, 99);
         return status;
     }},
    {"ArgumentsOfTheWholeAddressSpace", ASYNCJOB_R_NO_MEMORY,
     [] {
         ASYNC_JOB* job = nullptr;
         int result = 99;
         char byte = 0;
         return ASYNC_start_job(&job, nullptr, &result, return_seven, &byte,
                                std::numeric_limits<std::size_t>::max());
     }},
    {"PoolInitOverMax", ASYNC_R_INVALID_POOL_SIZE, [] { return ASYNC_init_thread(2, 3); }},
    {"PoolOfMoreJobsThanAddresses", ASYNCJOB_R_NO_STACK,
     [] { return ASYNC_init_thread(0, std::size_t{1} << sizeof(std::size_t) * 5); }},
    {"PoolOfAllJobs", ASYNCJOB_R_NO_STACK,
     [] {
         const std::size_t most = std::numeric_limits<std::size_t>::max();
         return ASYNC_init_thread(most, most);
     }},
    {"SetOneMemoryFunction", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return ASYNC_set_mem_functions(nullptr, std::free); }},
    {"SetTheOtherMemoryFunction", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         return ASYNC_set_mem_functions([](std::size_t* size) { return std::malloc(*size); },
                                        nullptr);
     }},
    {"GetHandleNullJob", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         asyncjob_handle handle{};
         return asyncjob_get_handle(nullptr, &handle);
     }},
    {"GetHandleNullHandle", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         TestJob job([] { ASYNC_pause_job(); });
         EXPECT_EQ(job.go(), ASYNC_PAUSE);
         const int status = asyncjob_get_handle(job.handle, nullptr);
         EXPECT_EQ(job.go(), ASYNC_FINISH);
         return status;
     }},
    {"GetHandleOfFinishedJob", ASYNCJOB_R_JOB_NOT_PAUSED,
     [] { return get_handle_wrongly(handle_of_finished_job()); }},
    {"GetHandleOfForeignPausedJob", ASYNCJOB_R_FOREIGN_THREAD,
     [] {
         const ForeignJob foreign(false);
         return get_handle_wrongly(foreign.handle);
     }},
    {"GetHandleOfForeignRunningJob", ASYNCJOB_R_FOREIGN_THREAD,
     [] {
         const ForeignJob foreign(true);
         return get_handle_wrongly(foreign.handle);
     }},
    {"WakeZeros", ASYNCJOB_R_NULL_ARGUMENT, [] { return asyncjob_wake(asyncjob_handle{}); }},
    {"TakeReadyNullJobs", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return static_cast<int>(asyncjob_take_ready(nullptr, 5)); }},
    {"PauseUntilNullDeadline", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return asyncjob_pause_until(nullptr) - ASYNCJOB_PAUSE_FAILED; }},
    {"PauseUntilNoTime", ASYNCJOB_R_INVALID_DEADLINE,
     [] {
         const timespec deadline{1, 1'000'000'000};
         return asyncjob_pause_until(&deadline) - ASYNCJOB_PAUSE_FAILED;
     }},
    {"SetMemoryFunctionsTooLate", ASYNCJOB_R_STACKS_IN_USE,
     [] {
         expect_jobs_work();
         return ASYNC_set_mem_functions(nullptr, nullptr);
     }},
    {"SetWaitFdNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return ASYNC_WAIT_CTX_set_wait_fd(no_context, nullptr, 3, nullptr, nullptr); }},
    {"GetFdNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         int fd = 99;
         void* data = &fd;
         const int status = ASYNC_WAIT_CTX_get_fd(no_context, nullptr, &fd, &data);
         EXPECT_EQ(fd, 99);
         EXPECT_EQ(data, &fd);
         return status;
     }},
    {"GetAllFdsNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         std::size_t count = 0;
         return ASYNC_WAIT_CTX_get_all_fds(no_context, nullptr, &count);
     }},
    {"GetAllFdsNullCount", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
         const int status = ASYNC_WAIT_CTX_get_all_fds(wait, nullptr, nullptr);
         ASYNC_WAIT_CTX_free(wait);
         return status;
     }},
    {"GetChangedFdsNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         std::size_t count = 0;
         return ASYNC_WAIT_CTX_get_changed_fds(no_context, nullptr, &count, nullptr, &count);
     }},
    {"GetChangedFdsNullCount", ASYNCJOB_R_NULL_ARGUMENT,
     [] {
         ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
         std::size_t count = 0;
         const int status =
             ASYNC_WAIT_CTX_get_changed_fds(wait, nullptr, &count, nullptr, nullptr) +
             ASYNC_WAIT_CTX_get_changed_fds(wait, nullptr, nullptr, nullptr, &count);
         ASYNC_WAIT_CTX_free(wait);
         return status;
     }},
    {"ClearFdNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return ASYNC_WAIT_CTX_clear_fd(no_context, nullptr); }},
    {"SetCallbackNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return ASYNC_WAIT_CTX_set_callback(no_context, return_seven, nullptr); }},
    {"GetCallbackNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return ASYNC_WAIT_CTX_get_callback(no_context, nullptr, nullptr); }},
    {"SetStatusNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return ASYNC_WAIT_CTX_set_status(no_context, ASYNC_STATUS_OK); }},
    {"GetStatusNullContext", ASYNCJOB_R_NULL_ARGUMENT,
     [] { return ASYNC_WAIT_CTX_get_status(no_context); }},
    {"SetStatusOutOfRange", ASYNCJOB_R_INVALID_STATUS,
     [] {
         ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
         const int accepted = ASYNC_WAIT_CTX_set_status(wait, -1) +
                              ASYNC_WAIT_CTX_set_status(wait, 4) +
                              ASYNC_WAIT_CTX_set_status(wait, std::numeric_limits<int>::max());
         EXPECT_EQ(ASYNC_WAIT_CTX_get_status(wait), ASYNC_STATUS_UNSUPPORTED);
         ASYNC_WAIT_CTX_free(wait);
         return accepted;
     }},
};

}  // namespace test
