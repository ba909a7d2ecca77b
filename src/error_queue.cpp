// SPDX-License-Identifier: Apache-2.0
// Error queues. Contract: error_queue.hpp.
//
// What a job inherited is told from what it has added by a tag: a number of marks on the newest
// inherited entry (ERR_set_mark() makes marks, and nobody makes so many), added to the count in the
// block directly. The tag moves with the entry and is gone when the entry is: cleared, read, or
// pushed out of the ring. All older entries are then gone as well, so the newest tag in the queue
// is that of the innermost job that inherits.
//
// Where the layout is not as expected there are no tags: a job takes all entries with it then,
// inherited or not, until it ends. Marks are on the entries on which they were if libcrypto can
// count the entries behind a mark (3.2); else all are on the newest, so that what is popped to a
// mark is too little rather than too much. An entry that is to be cleared at the next look is
// cleared by ours; one without a code ends our look, as it does anybody's.
#include "error_queue.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>

#include "host.hpp"
#include "os/keep_errno.hpp"
#include "os/thread_slot.hpp"

namespace asyncjob {

namespace {

using host::ErrorCalls;

constexpr ErrorState no_errors{};
constexpr const void* no_errors_place = &no_errors;

std::atomic<bool> layout_is_known = false;

constexpr int tag = 1 << 20;
// Jobs that pop to a mark which they have not set take one from a tag.
int tags_in(int marks) {
    return (marks + tag / 2) / tag;
}
int marks_without_tags(int marks) {
    return marks - tags_in(marks) * tag;
}

// ERR_FLAG_CLEAR: the next look at the queue removes the entry.
constexpr int clear_flag = 2;

constexpr int lib_of(unsigned long code) {
    constexpr unsigned long system = 1UL << 31U;
    return (code & system) != 0 ? 2 : static_cast<int>((code >> 23U) & 0xffU);
}
constexpr int reason_of(unsigned long code) {
    constexpr unsigned long system = 1UL << 31U;
    return static_cast<int>((code & system) != 0 ? code & (system - 1) : code & 0x7fffffU);
}

// The calling thread's block, if it is known what is in it.
ErrorState* known_state(const ErrorCalls& calls) {
    return layout_is_known.load(std::memory_order_relaxed)
               ? static_cast<ErrorState*>(calls.get_state())
               : nullptr;
}

void push_probe(const ErrorCalls& calls) {
    calls.make();
    calls.set_debug("asyncjob", 0, "probe");
    calls.set_error(lib_of(0), 1, nullptr);
}

// Whether the block changes as the layout says, and as entries and marks are added and removed
// again. A queue that is nearly full is left alone.
bool behaves(const ErrorCalls& calls, const volatile ErrorState& state) {
    const int top = state.top;
    const int bottom = state.bottom;
    constexpr auto in_ring = [](int at) { return at >= 0 && at < ErrorState::size; };
    if (!in_ring(top) || !in_ring(bottom) ||
        (top - bottom + ErrorState::size) % ErrorState::size >= ErrorState::size - 3)
        return false;
    const int next = (top + 1) % ErrorState::size;
    const bool had_any = calls.set_mark() == 1;  // so that the probe can be popped again
    bool good = had_any == (top != bottom);
    push_probe(calls);
    good = good && state.top == next && state.bottom == bottom && state.marks[next] == 0;
    calls.set_mark();
    calls.set_mark();
    good = good && state.marks[next] == 2;
    calls.pop_to_mark();
    calls.pop_to_mark();
    good = good && state.marks[next] == 0 && state.top == next;
    calls.pop_to_mark();
    return good && state.top == top && state.bottom == bottom;
}

// By how many entries are behind theirs.
using MarksBehind = int[ErrorState::size];

// Takes all marks off.
void take_marks(const ErrorCalls& calls, MarksBehind& marks) {
    for (;;) {
        const int behind = calls.count_to_mark != nullptr ? calls.count_to_mark() : 0;
        if (calls.clear_last_mark() != 1)
            return;
        ++marks[std::clamp(behind, 0, ErrorState::size - 1)];
    }
}

ErrorState* state_of_thread() {
    const ErrorCalls* const calls = host::error_calls();
    return calls != nullptr ? known_state(*calls) : nullptr;
}

bool newest_is_tagged() {
    const ErrorState* const state = state_of_thread();
    return state != nullptr && !state->empty() && tags_in(state->marks[state->top]) != 0;
}

void remove_newest_tag() {
    ErrorState* const state = state_of_thread();
    if (state == nullptr)
        return;
    for (int at = state->top; at != state->bottom;
         at = (at + ErrorState::size - 1) % ErrorState::size) {
        if (tags_in(state->marks[at]) == 0)
            continue;
        state->marks[at] = std::max(state->marks[at] - tag, 0);
        return;
    }
}

}  // namespace

ThreadErrors find_thread_errors(bool& ask) noexcept {
    const os::KeepErrno keep;
    const ThreadErrors none{&no_errors_place, &no_errors};
    ask = false;
    const ErrorCalls* const calls = host::error_calls();
    if (calls == nullptr)
        return none;
    const auto* const state =
        calls->get_state != nullptr ? static_cast<ErrorState*>(calls->get_state()) : nullptr;
    ask = true;
    if (state == nullptr)
        return none;  // libcrypto has been cleaned up, or does not tell
    if (!layout_is_known.load(std::memory_order_relaxed)) {
        if (!behaves(*calls, *state))
            return none;
        layout_is_known.store(true, std::memory_order_relaxed);
    }
    const void* const* const place = os::place_of_specific(state);
    if (place == nullptr)
        return none;
    ask = false;
    return {place, state};
}

bool ask_for_errors() noexcept {
    const os::KeepErrno keep;
    const ErrorCalls* const calls = host::error_calls();
    return calls != nullptr && calls->peek() != 0;
}

namespace {

// What libcrypto tells of an entry; the strings are its.
struct Told {
    unsigned long code = 0;
    const char* file = "";
    int line = 0;
    const char* function = "";
    const char* data = "";
    int data_flags = 0;

    static constexpr int data_is_allocated = 1;  // ERR_TXT_MALLOCED

    static Told of_oldest(const ErrorCalls& calls) {
        Told told;
        told.code =
            calls.peek_all(&told.file, &told.line, &told.function, &told.data, &told.data_flags);
        return told;
    }
    [[nodiscard]] bool owns_data() const { return (data_flags & data_is_allocated) != 0; }
};

}  // namespace

// One allocation with the strings behind it, but for the data, which is given to libcrypto.
struct CarriedErrors::Entry {
    Entry* next;
    Told told;
    int marks;
    int flags;  // clear_flag or 0

    // NULL when out of memory.
    static Entry* copy(const ErrorCalls& calls, const Told& told) {
        const std::size_t file_size = std::strlen(told.file) + 1;
        const std::size_t function_size = std::strlen(told.function) + 1;
        void* const memory = std::malloc(sizeof(Entry) + file_size + function_size);
        if (memory == nullptr)
            return nullptr;
        auto* const entry = new (memory) Entry{nullptr, told, 0, 0};
        auto* const strings = reinterpret_cast<char*>(entry + 1);
        entry->told.file = strings;
        std::memcpy(strings, told.file, file_size);
        entry->told.function = strings + file_size;
        std::memcpy(strings + file_size, told.function, function_size);
        if (!told.owns_data())
            return entry;  // with none, or somebody's constant
        const std::size_t data_size = std::strlen(told.data) + 1;
        void* const data = calls.allocate(data_size, "asyncjob", 0);
        if (data == nullptr) {
            std::free(entry);
            return nullptr;
        }
        entry->told.data = static_cast<char*>(std::memcpy(data, told.data, data_size));
        return entry;
    }

    static void destroy(const ErrorCalls& calls, Entry* entry) {
        if (entry->told.owns_data())
            calls.release(const_cast<char*>(entry->told.data), "asyncjob", 0);
        std::free(entry);
    }
};

void CarriedErrors::List::append(Entry* entry) {
    entry->next = nullptr;
    (last != nullptr ? last->next : first) = entry;
    last = entry;
}

void CarriedErrors::List::put_marks(const int* behind, int size) const {
    int at = 0;
    for (const Entry* entry = first; entry != nullptr; entry = entry->next)
        ++at;
    for (Entry* entry = first; entry != nullptr; entry = entry->next)
        if (--at < size)
            entry->marks = behind[at];
}

// The oldest entry is copied before it is taken out, so that none is lost for want of memory.
CarriedErrors::List CarriedErrors::take_all() {
    List list;
    const ErrorCalls* const calls = host::error_calls();
    if (calls == nullptr)
        return list;
    ErrorState* const state = known_state(*calls);
    ErrorState before{};
    MarksBehind marks{};
    if (state != nullptr) {
        before = *state;
        for (int& flags : state->flags)
            flags &= ~clear_flag;
    } else {
        take_marks(*calls, marks);
    }
    for (;;) {
        const Told told = Told::of_oldest(*calls);
        if (state != nullptr ? state->empty() : told.code == 0)
            break;
        Entry* const entry = Entry::copy(*calls, told);
        if (entry == nullptr)
            break;
        const int bottom = state != nullptr ? state->bottom : 0;
        const unsigned long got = calls->get();
        if (state != nullptr ? state->bottom == bottom : got != told.code) {
            Entry::destroy(*calls, entry);  // it is of another libcrypto than that one
            break;
        }
        if (state != nullptr) {
            entry->marks = before.marks[state->bottom];
            entry->flags = before.flags[state->bottom] & clear_flag;
        }
        list.append(entry);
    }
    if (state != nullptr)
        std::copy(std::begin(before.flags), std::end(before.flags), state->flags);
    else
        list.put_marks(marks, ErrorState::size);
    return list;
}

void CarriedErrors::give(List& list) {
    const ErrorCalls* const calls = host::error_calls();
    while (Entry* const entry = list.first) {
        list.first = entry->next;
        const Told& told = entry->told;
        calls->make();
        calls->set_debug(told.file, told.line, told.function);
        calls->set_error(lib_of(told.code), reason_of(told.code), nullptr);
        if (told.data_flags != 0)
            calls->set_data(const_cast<char*>(told.data), told.data_flags);
        for (int mark = marks_without_tags(entry->marks); mark > 0; --mark)
            calls->set_mark();
        if (ErrorState* const state = known_state(*calls)) {
            state->marks[state->top] += tags_in(entry->marks) * tag;
            state->flags[state->top] |= entry->flags;
        }
        std::free(entry);
    }
    list = {};
}

// Removes the newest tag. Returns what is behind its entry: all, if there is none.
CarriedErrors::List CarriedErrors::split_behind_inherited(List& all) {
    Entry* newest = nullptr;
    for (Entry* entry = all.first; entry != nullptr; entry = entry->next)
        if (tags_in(entry->marks) != 0)
            newest = entry;
    List rest = all;
    if (newest == nullptr) {
        all = {};
        return rest;
    }
    newest->marks -= tag;
    rest.first = newest->next;
    if (rest.first == nullptr)
        rest.last = nullptr;
    newest->next = nullptr;
    all.last = newest;
    return rest;
}

bool CarriedErrors::start() noexcept {
    const os::KeepErrno keep;
    ErrorState* const state = state_of_thread();
    if (state == nullptr || state->empty())
        return false;
    state->marks[state->top] += tag;
    inherits_ = true;
    return true;
}

bool CarriedErrors::pause() noexcept {
    const os::KeepErrno keep;
    if (inherits_ && newest_is_tagged()) {  // it has left none of its own
        inherits_ = false;
        remove_newest_tag();
        return false;
    }
    List all = take_all();
    List jobs = all;
    if (inherits_) {
        jobs = split_behind_inherited(all);
        give(all);
        inherits_ = false;
    }
    give(list_);
    list_ = jobs;
    return list_.first != nullptr;
}

bool CarriedErrors::resume() noexcept {
    const os::KeepErrno keep;
    List starters = take_all();
    give(list_);
    list_ = starters;
    return list_.first != nullptr;
}

void CarriedErrors::end() noexcept {
    const os::KeepErrno keep;
    if (inherits_) {
        inherits_ = false;
        remove_newest_tag();
        return;
    }
    if (list_.first == nullptr)
        return;
    List jobs = take_all();
    give(list_);
    give(jobs);
}

}  // namespace asyncjob
