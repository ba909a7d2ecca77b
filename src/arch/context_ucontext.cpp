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

namespace {

// A suspended side; lives on its own stack, the slot points to it.
struct Side {
    ucontext_t context;
    FpMode mode;      // the words to go on with, if share_mode
    void* reclaim;    // a fiber that has ended and wants asyncjob_reclaim()
    int value;        // the result of this side's switch
    bool share_mode;  // whether `mode` replaces what the context has saved
};

void keep_signal_mask(Side& side) {
    pthread_sigmask(SIG_BLOCK, nullptr, &side.context.uc_sigmask);
}

void tell(Side& side, int value, bool share) {
    side.value = value;
    side.share_mode = share;
    if (share)
        side.mode = fp_mode();
    keep_signal_mask(side);
}

int arrived(Side& self) {
    if (self.share_mode)
        set_fp_mode(self.mode);
    if (self.reclaim != nullptr)
        asyncjob_reclaim(self.reclaim);
    return self.value;
}

int exchange(Slot* slot, int value, bool share) {
    Side self;
    self.reclaim = nullptr;
    auto* other = static_cast<Side*>(*slot);
    *slot = &self;
    tell(*other, value, share);
    swapcontext(&self.context, &other->context);
    return arrived(self);
}

struct Start {
    Slot* slot;
    Entry entry;
    void* arg;
};

// makecontext() passes ints, of which two make a pointer.
void run(unsigned high, unsigned low) {
    const auto address = (static_cast<std::uint64_t>(high) << 32) | low;
    const Start start = *reinterpret_cast<Start*>(static_cast<std::uintptr_t>(address));
    const Outcome outcome = start.entry(start.arg);
    auto* starter = static_cast<Side*>(*start.slot);
    starter->reclaim = outcome.reclaim;
    tell(*starter, static_cast<int>(outcome.value), (outcome.value & share_fp_mode) != 0);
    setcontext(&starter->context);
    __builtin_unreachable();  // setcontext fails only for a bad context
}

}  // namespace

extern "C" {

int asyncjob_context_start(Slot* slot, void* top, Entry entry, void* arg) noexcept {
    // makecontext() wants the extent of the stack; it uses only the upper end.
    constexpr std::size_t shown = 4096;
    Side fresh;
    getcontext(&fresh.context);
    fresh.context.uc_link = nullptr;
    fresh.context.uc_stack.ss_sp = static_cast<char*>(top) - shown;
    fresh.context.uc_stack.ss_size = shown;
    Start start{slot, entry, arg};
    const auto address = reinterpret_cast<std::uintptr_t>(&start);
    makecontext(&fresh.context, reinterpret_cast<void (*)()>(run), 2,
                static_cast<unsigned>(static_cast<std::uint64_t>(address) >> 32),
                static_cast<unsigned>(address));
    keep_signal_mask(fresh);

    Side self;
    self.reclaim = nullptr;
    *slot = &self;
    swapcontext(&self.context, &fresh.context);
    return arrived(self);
}

int asyncjob_context_switch(Slot* slot, int value) noexcept {
    return exchange(slot, value, false);
}

int asyncjob_context_switch_shared(Slot* slot, int value) noexcept {
    return exchange(slot, value, true);
}

}  // extern "C"

}  // namespace asyncjob::arch
