// SPDX-License-Identifier: Apache-2.0
// Start, pause, resume and end of jobs. Contract: thread_state.hpp.
#include "thread_state.hpp"

#include <pthread.h>

#include <atomic>
#include <climits>

#include "host.hpp"
#include "os/loader.hpp"
#include "wait_ctx.hpp"

namespace asyncjob {

constinit thread_local ThreadState this_thread;

namespace {

std::atomic<std::uint64_t> last_id = 0;
std::atomic<std::size_t> abandoned = 0;

// The key's destructor is how a thread's end is seen: it needs no C++ runtime, and runs
// after the destructors of thread_local objects, which may still use jobs.
constexpr long no_key = -1;
std::atomic<long> exit_key = no_key;

void thread_ends(void* state) {
    ThreadState& self = this_thread;
    // Destructors of other keys may still resume their jobs: wait for the last round but one;
    // the last is that of tools which watch threads.
    if (self.pool.in_flight() && ++self.exit_rounds < PTHREAD_DESTRUCTOR_ITERATIONS - 1 &&
        pthread_setspecific(static_cast<pthread_key_t>(exit_key.load()), state) == 0)
        return;
    abandoned.fetch_add(self.pool.abandon(), std::memory_order_relaxed);
    self = ThreadState{};
}

// Makes the key, or tries again if there was none to be had. Of threads that make one at
// the same time one keeps it.
bool have_exit_key() {
    long known = exit_key.load(std::memory_order_acquire);
    if (known != no_key)
        return true;
    pthread_key_t key{};
    if (pthread_key_create(&key, thread_ends) != 0)
        return false;
    if (!exit_key.compare_exchange_strong(known, static_cast<long>(key)))
        pthread_key_delete(key);
    else
        os::keep_loaded(reinterpret_cast<const void*>(thread_ends));  // in a plugin, say
    return true;
}

// Finds what may have come into the process with a dlopen(): libcrypto, a C++ runtime.
void look_around(ThreadState& self) {
    const unsigned long long libraries = os::libraries_loaded();
    if (libraries == self.libraries && libraries != 0)
        return;
    self.libraries = libraries;
    host::look_around();
    self.places = find_carried_places(&self.no_exceptions);
}

// The thread's first use of jobs.
Reason enter(ThreadState& self) {
    if (self.id != 0)
        return Reason::none;
    if (!arch::capable)
        return Reason::not_capable;
    if (!have_exit_key() ||
        pthread_setspecific(static_cast<pthread_key_t>(exit_key.load()), &self) != 0)
        return Reason::init_failed;
    self.id = last_id.fetch_add(1, std::memory_order_relaxed) + 1;
    look_around(self);
    return Reason::none;
}

// Gives each side of a job its own default OSSL_LIB_CTX (S15).
void exchange_lib_ctx(Job& job) {
    if (host::lib_ctx_unseen.load(std::memory_order_relaxed)) [[unlikely]]
        host::refresh_lib_ctx();
    if (job.lib_ctx != host::lib_ctx) [[unlikely]] {
        void* const leaving = host::lib_ctx;
        host::set_lib_ctx(job.lib_ctx);
        job.lib_ctx = leaving;
    }
}

// The first frame on a job's stack: runs the job's function and ends the job.
arch::Outcome run(void* arg) noexcept {
    Job& job = *static_cast<Job*>(arg);
    job.fiber.arrived();
    const int value = job.function(job.args);

    ThreadState& self = this_thread;
    self.current = job.outer;
    *job.result = value;
    *job.handle = nullptr;
    job.wait = nullptr;
    exchange_lib_ctx(job);
    if (job.heap_args != nullptr) [[unlikely]]
        job.free_args();
    void* reclaim = nullptr;
    if (self.pool.keeps()) [[likely]] {
        job.become(JobState::idle);
        self.pool.put(&job);
    } else {
        reclaim = &job;  // its stack is still under our feet
    }
    return job.fiber.end(ASYNC_FINISH, reclaim, self.places, self.share_fp_mode);
}

// Why the job of a handle cannot be resumed by the thread `id`.
Reason why_not(const Job& job, ASYNC_JOB* handle, std::uint64_t id) {
    if (job.name.load(std::memory_order_relaxed) != handle)
        return Reason::job_not_paused;  // the header serves another job now
    switch (job.now()) {
        case JobState::unused:
        case JobState::idle:
            return Reason::job_not_paused;
        case JobState::running:
        case JobState::paused:
            break;
    }
    return job.owner.load(std::memory_order_relaxed) == id ? Reason::job_running
                                                           : Reason::foreign_thread;
}

[[gnu::cold, gnu::noinline]] int refuse(const Job& job, ASYNC_JOB* handle) {
    return fail(why_not(job, handle, this_thread.id), "ASYNC_start_job");
}

int resume(ThreadState& self, Job& job, ASYNC_JOB** handle, int* result) {
    if (job.now() != JobState::paused || job.owner.load(std::memory_order_relaxed) != self.id ||
        job.name.load(std::memory_order_relaxed) != *handle) [[unlikely]]
        return refuse(job, *handle);
    job.become(JobState::running);
    job.outer = self.current;
    job.handle = handle;
    job.result = result;
    self.current = &job;
    if (job.wait != nullptr)
        job.wait->end_round();
    exchange_lib_ctx(job);
    // The 1 becomes the result of the job's ASYNC_pause_job(); what comes back, of this call.
    return job.fiber.resume(1, self.places, self.share_fp_mode);
}

// Makes a job when the pool has none idle, and starts it.
[[gnu::cold, gnu::noinline]] int start_new_job(ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait,
                                               int* result, JobFunction function, void* args,
                                               std::size_t size) {
    ThreadState& self = this_thread;
    Reason reason = enter(self);
    if (reason != Reason::none)
        return fail(reason, "ASYNC_start_job");
    if (self.pool.at_limit())
        return ASYNC_NO_JOBS;
    look_around(self);
    reason = self.pool.make(self.id);
    if (reason != Reason::none)
        return fail(reason, "ASYNC_start_job");
    return start_job(handle, wait, result, function, args, size);
}

}  // namespace

int start_job(ASYNC_JOB** handle, ASYNC_WAIT_CTX* wait, int* result, JobFunction function,
              void* args, std::size_t size) noexcept {
    ThreadState& self = this_thread;
    if (*handle != nullptr)
        return resume(self, *Job::of(*handle), handle, result);

    Job* const job = self.pool.first_idle();
    if (job == nullptr) [[unlikely]]
        return start_new_job(handle, wait, result, function, args, size);
    void* top = job->fiber.stack.high;
    job->args = nullptr;
    if (args != nullptr) {
        top = job->copy_args(args, size);
        if (top == nullptr) [[unlikely]]
            return fail(Reason::no_memory, "ASYNC_start_job");
    }
    self.pool.take(job);
    job->become(JobState::running);
    job->outer = self.current;
    job->handle = handle;
    job->result = result;
    job->wait = wait;
    job->function = function;
    job->blocked = 0;
    job->rename();
    if (host::lib_ctx_unseen.load(std::memory_order_relaxed)) [[unlikely]]
        host::refresh_lib_ctx();
    job->lib_ctx = host::lib_ctx;
    self.current = job;
    return job->fiber.start(top, run, job, self.places);
}

int pause_job() noexcept {
    ThreadState& self = this_thread;
    Job* const job = self.current;
    if (job == nullptr || job->blocked != 0)
        return 1;
    self.current = job->outer;
    *job->handle = job->name.load(std::memory_order_relaxed);
    job->become(JobState::paused);
    exchange_lib_ctx(*job);
    // ASYNC_PAUSE becomes the result of the resumer's ASYNC_start_job().
    return job->fiber.pause(ASYNC_PAUSE, self.places, self.share_fp_mode);
}

Reason init_thread(std::size_t max, std::size_t init) noexcept {
    ThreadState& self = this_thread;
    const Reason reason = enter(self);
    return reason != Reason::none ? reason : self.pool.configure(max, init, self.id);
}

void cleanup_thread() noexcept {
    this_thread.pool.close();
}

std::size_t left_behind() noexcept {
    return abandoned.load(std::memory_order_relaxed);
}

int fail(Reason reason, const char* function) noexcept {
    this_thread.last_reason = static_cast<int>(reason);
    host::raise(static_cast<int>(reason), function);
    return 0;
}

}  // namespace asyncjob

void asyncjob::arch::asyncjob_reclaim(void* reclaim) noexcept {
    this_thread.pool.destroy(static_cast<Job*>(reclaim));
}
