// SPDX-License-Identifier: Apache-2.0
// One input of the API target: its bytes choose calls one after another, of any function, on any of
// its threads, outside jobs and in them, in hooks, cleanups and callbacks; each is made on the
// library and on the model, and what comes back is compared.
//
// Whatever may be suspended for good holds no memory of the heap on its stack: a thread may leave
// its jobs behind.
//
// Threads: model, choices and all else belong to the one that has its turn.
// Next layer down: model.hpp, turns.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "../../conformance/differential/random.hpp"
#include "model.hpp"
#include "turns.hpp"

namespace fuzz {

class Machine {
  public:
    Machine(const std::uint8_t* bytes, std::size_t size);

    // On a new thread, as all that it starts.
    void run();

  private:
    friend struct Entries;  // what the library calls

    // Around a call in which more steps are taken, by others at a depth of their own.
    class Inside {
      public:
        explicit Inside(Machine& machine) : machine_(machine), before_(machine.depth_) {
            ++machine.depth_;
        }
        void leave() const { machine_.depth_ = before_; }

      private:
        Machine& machine_;
        int before_;
    };

    static constexpr int handle_count = 12;

    // Threads.
    void drive();
    void drain();
    void work(int number);
    void give_turn();
    void start_thread();
    void join_ended();

    // Switches.
    void step();
    void start();
    void resume_some();
    void resume(int job, int at);
    void cancel_some();
    void cancel_all();
    void settle();
    void came_back(int job, int status, ASYNC_JOB** handle, int result);
    void take_in(int job);
    int function(const void* args, std::size_t size);
    void pause();
    void pause_with_meaning();
    int do_pause();

    // What the library calls.
    void hook(ASYNC_JOB* job, int arg, bool enters);
    void slot_free(int number);
    void destroy(int kind, std::uintptr_t value);
    void clean_up(ASYNC_WAIT_CTX* handle, const void* key, int fd, void* data);
    void some_steps();

    // Other calls.
    void block(bool blocks);
    void new_ctx();
    void free_ctx(Ctx& ctx);
    void forget_handle();
    void ctx_call();
    void set_wait_fd(Ctx& ctx);
    void get_fd(Ctx& ctx);
    void check_fds(const Ctx& ctx, int nulls);
    void clear_fd(Ctx& ctx);
    void callback(Ctx& ctx);
    void status(Ctx& ctx);
    void init_thread();
    void init_with_options();
    void show_options();
    void cleanup_thread();
    void on_slot_free();
    void get_handle(int number);
    void wake();
    void take_ready();
    void ready_fd();
    void find_handle();
    void thread_stats();
    void check_stats();
    void process_stats();
    void make_key();
    void delete_key();
    void set_local();
    void get_local();
    void add_hooks();
    void remove_hooks();
    void look();
    void bad_start();
    void bad_ctx();
    void bad_others();
    void mem_functions();
    void dump();
    void share_fp_mode();

    // The call before this has failed for that reason, which is on the error queue too; 0: it has
    // not.
    void has_failed(int reason, bool is_raised = true);
    void is_fine() { has_failed(0); }

    [[nodiscard]] int free_handle() const;
    [[nodiscard]] bool keeps_errors();
    [[nodiscard]] Thread& self() { return model_.threads[turn_]; }
    [[nodiscard]] int below(int n) { return choices_.below(n); }
    [[nodiscard]] int some_job();
    [[nodiscard]] int some_paused_job();
    [[nodiscard]] Ctx* some_ctx(bool may_end);
    [[nodiscard]] const void* some_key();
    [[nodiscard]] bool is_used(const Ctx& ctx) const;
    [[nodiscard]] int job_named(const ASYNC_JOB* name) const;
    [[nodiscard]] ASYNC_JOB* name_of(int job) const;

    differential::Random choices_;
    Model model_;
    Turns turns_;
    ASYNC_JOB* handles_[handle_count] = {};
    bool is_busy_[handle_count] = {};  // a call has its address
    std::vector<std::thread> threads_;
    int turn_ = 0;
    int ending_thread_ = none;  // to be joined
    int depth_ = 0;             // of steps within calls
    int next_fd_ = 100;
    asyncjob_stats_t before_{};
    std::size_t left_behind_before_ = 0;
};

}  // namespace fuzz
