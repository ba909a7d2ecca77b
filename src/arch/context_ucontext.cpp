// SPDX-License-Identifier: Apache-2.0
// The switch by <ucontext.h>, for CPUs without assembly and as the second backend that CI
// holds the first one against. Contract: context.hpp.
//
// swapcontext() exchanges the signal mask, which belongs to the thread and must not change
// (S16): each switch gives the other side the mask of this moment. A handler may change the mask of
// what it interrupts, so signals are blocked from there on, until swapcontext() sets that mask.
// This is one system call more than swapcontext's own; a platform that minds wants assembly.
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

const void* return_place(Slot /*paused*/) noexcept {
    return nullptr;
}

const void* code_address(const void* stored) noexcept {
    return stored;
}

bool prefers_comparing() noexcept {
    return false;
}

namespace {

// A suspended side; lives on its own stack, the slot points to it.
struct Side {
    ucontext_t context;
    FpWords mode;      // the words to go on with; not all C libraries' contexts have all of them
    int value;         // the result of this side's switch
    bool left_shared;  // whether this side does not want its own words back
    bool has_started;  // whether this is the side that started the fiber, which then never paused
    void* ended;       // a fiber whose function has returned `value`
};

// Faults are let through: one that is blocked kills without its handler, and a stack may end here.
void keep_signal_mask(Side& side) {
    constexpr int faults[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    sigset_t most;
    sigfillset(&most);
    for (const int fault : faults)
        sigdelset(&most, fault);
    pthread_sigmask(SIG_BLOCK, &most, &side.context.uc_sigmask);
}

void tell(Side& side, int value, bool share) {
    side.value = value;
    if (share || side.left_shared)
        side.mode = fp_mode();
    keep_signal_mask(side);
}

int arrived(const Side& self) {
    set_fp_mode(self.mode);
    return self.ended != nullptr ? asyncjob_context_ended(self.ended, self.value) : self.value;
}

int exchange(Slot* own, Slot to, int value, bool share) {
    Side self;
    self.mode = fp_mode();
    self.left_shared = share;
    self.has_started = false;
    self.ended = nullptr;
    auto* other = static_cast<Side*>(to);
    *own = &self;
    tell(*other, value, share);
    swapcontext(&self.context, &other->context);
    return arrived(self);
}

struct Start {
    Slot* outside;
    int (*function)(void*);
    void* arg;
    void* fiber;
};

// makecontext() passes ints, of which two make a pointer.
void run(unsigned high, unsigned low) {
    const auto address = (static_cast<std::uint64_t>(high) << 32) | low;
    const Start start = *reinterpret_cast<Start*>(static_cast<std::uintptr_t>(address));
    const int value = start.function(start.arg);
    auto* starter = static_cast<Side*>(*start.outside);
    starter->ended = start.fiber;
    tell(*starter, value, starter->has_started);
    setcontext(&starter->context);
    __builtin_unreachable();  // setcontext fails only for a bad context
}

int start_fiber(Slot* outside, void* top, int (*function)(void*), void* arg, void* fiber,
                bool share) {
    // makecontext() wants the extent of the stack; it uses only the upper end.
    constexpr std::size_t shown = 4096;
    Side fresh;
    getcontext(&fresh.context);
    fresh.context.uc_link = nullptr;
    fresh.context.uc_stack.ss_sp = static_cast<char*>(top) - shown;
    fresh.context.uc_stack.ss_size = shown;
    Start start{outside, function, arg, fiber};
    const auto address = reinterpret_cast<std::uintptr_t>(&start);
    makecontext(&fresh.context, reinterpret_cast<void (*)()>(run), 2,
                static_cast<unsigned>(static_cast<std::uint64_t>(address) >> 32),
                static_cast<unsigned>(address));
    keep_signal_mask(fresh);

    Side self;
    self.mode = fp_mode();
    self.left_shared = share;
    self.has_started = true;
    self.ended = nullptr;
    *outside = &self;
    swapcontext(&self.context, &fresh.context);
    return arrived(self);
}

}  // namespace

extern "C" {

int asyncjob_context_start(Slot* outside, void* top, int (*function)(void*), void* arg,
                           void* fiber) noexcept {
    return start_fiber(outside, top, function, arg, fiber, false);
}

int asyncjob_context_first_pause(Slot* own, Slot outside, int value, void* /*top*/) noexcept {
    return exchange(own, outside, value, false);
}

int asyncjob_context_pause(Slot* own, Slot outside, int value) noexcept {
    return exchange(own, outside, value, false);
}

int asyncjob_context_resume(Slot* outside, Slot fiber, int value) noexcept {
    return exchange(outside, fiber, value, false);
}

// swapcontext() has its own way with the control words.
int asyncjob_context_first_pause_comparing(Slot* own, Slot outside, int value, void* top) noexcept {
    return asyncjob_context_first_pause(own, outside, value, top);
}

int asyncjob_context_pause_comparing(Slot* own, Slot outside, int value) noexcept {
    return asyncjob_context_pause(own, outside, value);
}

int asyncjob_context_resume_comparing(Slot* outside, Slot fiber, int value) noexcept {
    return asyncjob_context_resume(outside, fiber, value);
}

int asyncjob_context_start_shared(Slot* outside, void* top, int (*function)(void*), void* arg,
                                  void* fiber) noexcept {
    return start_fiber(outside, top, function, arg, fiber, true);
}

int asyncjob_context_first_pause_shared(Slot* own, Slot outside, int value,
                                        void* /*top*/) noexcept {
    return exchange(own, outside, value, true);
}

int asyncjob_context_pause_shared(Slot* own, Slot outside, int value) noexcept {
    return exchange(own, outside, value, true);
}

int asyncjob_context_resume_shared(Slot* outside, Slot fiber, int value) noexcept {
    return exchange(outside, fiber, value, true);
}

}  // extern "C"

}  // namespace asyncjob::arch
