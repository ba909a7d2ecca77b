// SPDX-License-Identifier: Apache-2.0
// libcrypto's error queue across switches: a job's entries stay with it while it is paused, and
// its resumer's entries are put aside while it runs. (At a start the job inherits the queue, as a
// call does; what it inherited stays behind when it pauses, if it is there still.)
//
// Whether a thread's queue is empty has to cost next to nothing. libcrypto has the queue of each
// thread in a block with the layout that OpenSSL 3's public header gives it, and gives the block
// out (ERR_get_state()); whether it behaves as that layout says is tried out once. The block is
// freed when the thread is done with libcrypto (OPENSSL_thread_stop(), OPENSSL_cleanup(), the
// thread's end), so libc's place for the thread's pointer to it is looked at first.
//
// Owner of CarriedErrors: job.hpp; of ThreadErrors: thread_state.hpp. Threads: their own.
// Next layer down: host.hpp, which finds libcrypto's functions; os/thread_slot.hpp.
#pragma once

#include <cstddef>

namespace asyncjob {

// ERR_STATE. A ring: entries are those behind `bottom` up to `top`.
struct ErrorState {
    static constexpr int size = 16;

    int flags[size];
    int marks[size];
    unsigned long codes[size];
    char* data[size];
    std::size_t data_sizes[size];
    int data_flags[size];
    char* files[size];
    int lines[size];
    char* functions[size];
    int top;
    int bottom;

    [[nodiscard]] bool empty() const { return top == bottom; }
};

// Where a thread's queue is.
struct ThreadErrors {
    const void* const* place;  // libc's, for the pointer to the block
    const ErrorState* state;   // what was there; an empty one of ours without a libcrypto

    // Whether there may be entries: there are, or the block is another one now. arch/short_*.S do
    // the same.
    [[nodiscard]] bool maybe_any() const { return *place != state || !state->empty(); }
};

// The calling thread's. Where it cannot be told without asking libcrypto each time, `ask`
// becomes true, else false.
[[nodiscard]] ThreadErrors find_thread_errors(bool& ask) noexcept;

// Asks libcrypto whether the calling thread's queue has entries.
[[nodiscard]] bool ask_for_errors() noexcept;

// The entries of a job's suspended side. The functions keep errno, and return whether there is
// anything for the job's next switch to do. Entries for which there is no memory stay in the
// queue, where the other side sees them: rather that than lose them.
class CarriedErrors {
  public:
    // The job starts, with entries in the queue.
    bool start() noexcept;
    bool pause() noexcept;
    bool resume() noexcept;
    // The starter's come back, the job's behind them.
    void end() noexcept;

  private:
    struct Entry;
    struct List {
        Entry* first = nullptr;
        Entry* last = nullptr;

        void append(Entry* entry);
        // Marks by how many entries are behind theirs.
        void put_marks(const int* behind, int size) const;
    };
    static List take_all();
    static void give(List& list);
    static List split_behind_inherited(List& all);

    List list_;
    bool inherits_ = false;  // runs for the first time, and there were entries at its start
};

}  // namespace asyncjob
