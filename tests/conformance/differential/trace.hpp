// SPDX-License-Identifier: Apache-2.0
// What a sequence of calls did, event by event, and the comparison of two such traces:
// libcrypto's is recorded first, ours is compared with it as it is made, so that it ends at
// the first difference.
//
// Threads: a trace belongs to one sequence, whose threads run one after another.
#pragma once

#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace differential {

enum class Op {
    // Around code of the sequence that the call runs: the begin and the end of the call.
    start,
    start_returned,
    pause,
    pause_returned,
    free,
    free_returned,
    // What such code sees.
    function_began,
    function_ends,
    cleanup,
    cleanup_ends,
    rounding_mode,
    signal_mask,
    error_number,
    exception,
    alignment,
    // Calls that the list of deviations knows.
    init_thread,
    set_callback,
    set_status,
    // Any other call.
    call,
    // Not a call of the interface.
    note,
};

// Whether an event is the result of a call.
[[nodiscard]] constexpr bool is_result(Op op) {
    switch (op) {
        case Op::start_returned:
        case Op::pause_returned:
        case Op::free_returned:
        case Op::init_thread:
        case Op::set_callback:
        case Op::set_status:
        case Op::call:
            return true;
        default:
            return false;
    }
}

// What the sequence knows about an event; not compared, but tells a deviation.
struct Hints {
    bool empty_args = false;        // of the job whose function began
    bool left_over_block = false;   // the thread's block count is above the job's
    bool second_init = false;       // ASYNC_init_thread() was called with a pool there
    bool libcrypto_has_job = true;  // by a model of the pool
    bool asyncjob_has_job = true;
    bool unlimited_init = false;  // max 0, init above 0
    bool null_ctx = false;
    bool invalid_status = false;
    bool added_in_cleanup = false;  // the fd
    bool own_state = false;         // the side sees what it set itself
};

struct Event {
    Op op;
    std::string what;    // who calls what
    std::string result;  // everything that came out
    int value = 0;       // the main part of the result, for the list of deviations
    Hints hints{};

    [[nodiscard]] bool same_as(const Event& other) const {
        return op == other.op && what == other.what && result == other.result;
    }
};

class Trace {
  public:
    // What to do about a difference; `at` is the index of the event. The sequence ends then.
    using OnDifference = std::function<void(std::size_t at, const Event* expected, const Event&)>;

    // Records.
    Trace() = default;

    // Compares with a recorded trace.
    Trace(const std::vector<Event>& expected, OnDifference on_difference)
        : expected_(&expected), on_difference_(std::move(on_difference)) {}

    void add(Event event) {
        if (over_)
            return;
        if (expected_ != nullptr) {
            const std::size_t at = events_.size();
            const Event* const expected = at < expected_->size() ? &(*expected_)[at] : nullptr;
            if (expected == nullptr || !expected->same_as(event)) {
                over_ = true;
                on_difference_(at, expected, event);
                return;
            }
        }
        if (is_result(event.op))
            ++calls_;
        events_.push_back(std::move(event));
    }

    // Nothing more is recorded; the sequence brings its jobs to their ends.
    void end() { over_ = true; }
    [[nodiscard]] bool over() const { return over_; }

    [[nodiscard]] const std::vector<Event>& events() const { return events_; }
    [[nodiscard]] std::size_t calls() const { return calls_; }

  private:
    std::vector<Event> events_;
    std::size_t calls_ = 0;
    bool over_ = false;
    const std::vector<Event>* expected_ = nullptr;
    OnDifference on_difference_;
};

// Prints what both did, the last of it, and in what they differ then; NULL is nothing more.
inline void print_difference(const std::vector<Event>& same, std::size_t at, const Event* libcrypto,
                             const Event* asyncjob) {
    std::printf("before it, the same on both:\n");
    constexpr std::size_t shown = 30;
    for (std::size_t before = at > shown ? at - shown : 0; before < at; ++before) {
        std::printf("  %zu  %s%s%s\n", before, same[before].what.c_str(),
                    same[before].result.empty() ? "" : " -> ", same[before].result.c_str());
    }
    std::printf("and then:\n");
    const auto print = [](const char* who, const Event* event) {
        if (event == nullptr)
            std::printf("  %s: nothing more\n", who);
        else
            std::printf("  %s: %s -> %s\n", who, event->what.c_str(), event->result.c_str());
    };
    print("libcrypto", libcrypto);
    print("asyncjob ", asyncjob);
}

}  // namespace differential
