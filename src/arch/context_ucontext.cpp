// SPDX-License-Identifier: Apache-2.0
// The switch by <ucontext.h>, for CPUs without assembly and as the second backend that CI
// holds the first one against. Contract: context.hpp.
//
// swapcontext() exchanges the signal mask, which belongs to the thread and must not change
// (S16): each switch gives the other side the mask of this moment. That is one system call
// more than swapcontext's own; a platform that minds wants assembly.
//
// Threads: as context.hpp. Next layer down: libc.
#include <ucontext.h>

#include <csignal>
#include <cstdint>

#include "arch/context.hpp"
#include "arch/fp_mode.hpp"

namespace asyncjob::arch {

const bool capable = true;
const bool can_share_fp_mode = have_fp_mode;
const char* const backend = "ucontext";

bool prefers_comparing() noexcept {
    return false;
}

namespace {

// A suspended side; lives on its own stack, the slot points to it.
struct Side {
    ucontext_t context;
    FpWords mode;      // the words to go on with, if share_mode
    int value;         // the result of this side's switch
    bool share_mode;   // whether `mode` replaces what the context has saved
    bool left_shared;  // whether this side does not want its own words back
    bool has_started;  // whether this is the side that started the fiber, which then never paused
    bool ended;        // the fiber's function has returned `value`
};

void keep_signal_mask(Side& side) {
    pthread_sigmask(SIG_BLOCK, nullptr, &side.context.uc_sigmask);
}

void tell(Side& side, int value, bool share) {
    side.value = value;
    side.share_mode = share || side.left_shared;
    if (side.share_mode)
        side.mode = fp_mode();
    keep_signal_mask(side);
}

int arrived(Slot* slot, const Side& self) {
    if (self.share_mode)
        set_fp_mode(self.mode);
    return self.ended ? asyncjob_context_ended(slot, self.value) : self.value;
}

int exchange(Slot* slot, int value, bool share) {
    Side self;
    self.left_shared = share;
    self.has_started = false;
    self.ended = false;
    auto* other = static_cast<Side*>(*slot);
    *slot = &self;
    tell(*other, value, share);
    swapcontext(&self.context, &other->context);
    return arrived(slot, self);
}

struct Start {
    Slot* slot;
    int (*function)(void*);
    void* arg;
};

// makecontext() passes ints, of which two make a pointer.
void run(unsigned high, unsigned low) {
    const auto address = (static_cast<std::uint64_t>(high) << 32) | low;
    const Start start = *reinterpret_cast<Start*>(static_cast<std::uintptr_t>(address));
    const int value = start.function(start.arg);
    auto* starter = static_cast<Side*>(*start.slot);
    starter->ended = true;
    tell(*starter, value, starter->has_started);
    setcontext(&starter->context);
    __builtin_unreachable();  // setcontext fails only for a bad context
}

int start_fiber(Slot* slot, void* top, int (*function)(void*), void* arg, bool share) {
    // makecontext() wants the extent of the stack; it uses only the upper end.
    constexpr std::size_t shown = 4096;
    Side fresh;
    getcontext(&fresh.context);
    fresh.context.uc_link = nullptr;
    fresh.context.uc_stack.ss_sp = static_cast<char*>(top) - shown;
    fresh.context.uc_stack.ss_size = shown;
    Start start{slot, function, arg};
    const auto address = reinterpret_cast<std::uintptr_t>(&start);
    makecontext(&fresh.context, reinterpret_cast<void (*)()>(run), 2,
                static_cast<unsigned>(static_cast<std::uint64_t>(address) >> 32),
                static_cast<unsigned>(address));
    keep_signal_mask(fresh);

    Side self;
    self.left_shared = share;
    self.has_started = true;
    self.ended = false;
    *slot = &self;
    swapcontext(&self.context, &fresh.context);
    return arrived(slot, self);
}

}  // namespace

extern "C" {

int asyncjob_context_start(Slot* slot, void* top, int (*function)(void*), void* arg) noexcept {
    return start_fiber(slot, top, function, arg, false);
}

int asyncjob_context_first_pause(Slot* slot, int value, void* /*top*/) noexcept {
    return exchange(slot, value, false);
}

int asyncjob_context_pause(Slot* slot, int value) noexcept {
    return exchange(slot, value, false);
}

int asyncjob_context_resume(Slot* slot, int value) noexcept {
    return exchange(slot, value, false);
}

// swapcontext() has its own way with the control words.
int asyncjob_context_start_shared(Slot* slot, void* top, int (*function)(void*),
                                  void* arg) noexcept {
    return start_fiber(slot, top, function, arg, true);
}

int asyncjob_context_first_pause_comparing(Slot* slot, int value, void* top) noexcept {
    return asyncjob_context_first_pause(slot, value, top);
}

int asyncjob_context_pause_comparing(Slot* slot, int value) noexcept {
    return asyncjob_context_pause(slot, value);
}

int asyncjob_context_resume_comparing(Slot* slot, int value) noexcept {
    return asyncjob_context_resume(slot, value);
}

int asyncjob_context_first_pause_shared(Slot* slot, int value, void* /*top*/) noexcept {
    return exchange(slot, value, true);
}

int asyncjob_context_pause_shared(Slot* slot, int value) noexcept {
    return exchange(slot, value, true);
}

int asyncjob_context_resume_shared(Slot* slot, int value) noexcept {
    return exchange(slot, value, true);
}

}  // extern "C"

}  // namespace asyncjob::arch
