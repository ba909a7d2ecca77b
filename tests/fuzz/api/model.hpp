// SPDX-License-Identifier: Apache-2.0
// What the contracts of asyncjob/async.h and asyncjob/control.h say that calls do, as plain data:
// jobs, threads, wait contexts and keys by number, without stacks, switches or locks. The machine
// makes each call on both and compares.
//
// A switch is in two parts here, as code of the machine runs within one: what holds when the call
// is made, and what holds when it has come back (Thread::pending), which whoever is next to look
// applies first.
//
// Threads: whichever has its turn, see turns.hpp. Next layer down: none.
#pragma once

#include <asyncjob/async.h>
#include <asyncjob/control.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace fuzz {

inline constexpr int none = -1;

enum class Phase { running, waiting, paused, ended, left_behind };

struct Job {
    int thread = 0;
    int ctx = none;
    ASYNC_JOB* name = nullptr;  // the handle that it had at its first look
    Phase phase = Phase::running;
    int outer = none;
    int blocked = 0;
    int handle_at = none;  // which of the machine's variables has its handle
    int result = 0;
    bool is_cancelled = false;
    bool is_in_place = true;   // never paused, nor has the pool been used meanwhile
    bool owns_memory = false;  // which would be a leak if its thread left it behind
    bool has_handle = false;
    asyncjob_handle handle{};
    // Wakes. Woken: it has not heard of one. Taken: so, and was listed since. Listed: in this
    // pause.
    bool is_woken = false;
    bool is_taken = false;
    bool is_listed = false;
    bool is_queued = false;                // in its thread's queue
    bool is_deferred = false;              // will be, when it pauses
    std::map<int, std::uintptr_t> locals;  // by key

    [[nodiscard]] bool is_in_flight() const {
        return phase == Phase::running || phase == Phase::waiting || phase == Phase::paused;
    }
};

struct Fd {
    const void* key;
    int fd;
    void* data;
    bool has_cleanup;
    int serial;
    bool is_added = true;
    bool is_deleted = false;
};

struct Ctx {
    ASYNC_WAIT_CTX* handle = nullptr;  // NULL: freed
    std::vector<Fd> fds;               // the oldest first
    bool is_ending = false;
    int in_cleanup = none;  // serial
    ASYNC_callback_fn callback = nullptr;
    void* callback_arg = nullptr;
    int status = ASYNC_STATUS_UNSUPPORTED;

    [[nodiscard]] Fd* newest(const void* key);
    bool clear(const void* key);
    void end_round();
    [[nodiscard]] std::vector<int> all() const;
    [[nodiscard]] std::vector<int> added() const;
    [[nodiscard]] std::vector<int> deleted() const;
    // The cleanup that comes next, or none; what has been cleaned up is gone then.
    [[nodiscard]] int next_cleanup();
};

enum class Destructor { none, notes, stores_again };

struct Key {
    asyncjob_key key = 0;  // 0: deleted
    Destructor destructor = Destructor::none;
};

struct Options {
    std::size_t max = 0;
    std::size_t prepared = 0;
    std::size_t high_water = 1024;
    std::size_t stack = std::size_t{96} * 1024;
    int guard = ASYNCJOB_GUARD_EACH;
    int stamps = 0;
};

struct Hook {
    bool has_enter;
    bool has_leave;
    int arg;
    bool operator==(const Hook&) const = default;
};

struct HookCall {
    int arg;
    bool enters;
    int job;
};

struct Thread {
    bool is_there = false;
    bool uses_jobs = false;
    int last_reason = 0;
    Options options;
    bool is_open = false;
    std::size_t idle = 0;
    int current = none;
    std::vector<Hook> hooks;
    bool in_hook = false;
    std::deque<HookCall> expected_hooks;
    int slot_free = none;  // the callback's number
    bool awaits_room = false;
    bool expects_slot_free = false;
    bool shared_fp_mode = false;  // at any time
    bool shares_fp_mode = false;
    std::deque<int> queue;  // of woken jobs
    int ready_fd = none;
    std::uint64_t started = 0;
    std::uint64_t finished = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t refused = 0;
    std::uint64_t peak = 0;
    std::vector<std::uintptr_t> destroyed;  // by destructors, of the job that ends
    std::vector<std::uintptr_t> to_destroy;
    // How many each asyncjob_cancel_all() has cancelled so far: of the calls that are going on, the
    // innermost last, by the job that made them. Another job's may begin while this one is paused.
    std::map<int, std::vector<std::uint64_t>> cancel_alls;

    enum class Switch { none, pause, end } pending = Switch::none;
    int status = 0;  // of the last switch back, and of which job
    int last_job = none;
};

enum class Start { fails, is_refused, runs };

class Model {
  public:
    static constexpr std::size_t most_jobs = 48;
    static constexpr std::size_t most_threads = 6;

    Model() {
        jobs.reserve(most_jobs);
        threads.reserve(most_threads);
        ctxs.reserve(64);
        keys.reserve(64);
    }

    std::vector<Job> jobs;
    std::vector<Thread> threads;
    std::vector<Ctx> ctxs;
    std::vector<Key> keys;
    int left_behind = 0;

    [[nodiscard]] std::size_t in_flight(int thread) const;
    [[nodiscard]] std::size_t paused(int thread) const;

    // A reason, or 0.
    [[nodiscard]] int why_not_resumed(int thread, int job) const;
    [[nodiscard]] int init(int thread, const Options& options);
    void cleanup(int thread);

    Start start(int thread, int& reason);
    void enter(int thread, int job);
    void resume(int thread, int job, bool cancels);
    void about_to_leave(int thread, Thread::Switch why);
    // What the last switch of the thread has come to; does nothing if that is known.
    void settle(int thread);

    [[nodiscard]] bool can_pause(int thread) const;
    void wake(int job);
    // What asyncjob_take_ready() lists.
    [[nodiscard]] std::vector<int> take_ready(int thread, std::size_t max);

    [[nodiscard]] asyncjob_stats_t stats(int thread) const;
    void end_thread(int thread);

  private:
    [[nodiscard]] std::size_t room(int thread) const;
    void expect_hooks(Thread& self, int job, bool enters);
    void leave_place(Thread& self);
    void end(int thread);
    void pause(int thread);
};

}  // namespace fuzz
