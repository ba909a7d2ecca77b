// SPDX-License-Identifier: Apache-2.0
// For platforms with neither assembly nor ucontext: the library builds and links, and says
// that it is not capable (S9). Nothing here is ever called; thread_state.cpp asks first.
#include "arch/context.hpp"

namespace asyncjob::arch {

const bool capable = false;
const bool can_share_fp_mode = false;
const char* const backend = "none";

const void* return_place(Slot /*paused*/) noexcept {
    return nullptr;
}

const void* code_address(const void* stored) noexcept {
    return stored;
}

bool prefers_comparing() noexcept {
    return false;
}

extern "C" {

int asyncjob_context_start(Slot*, void*, int (*)(void*), void*, void*) noexcept {
    return 0;
}
int asyncjob_context_first_pause(Slot*, Slot, int, void*) noexcept {
    return 0;
}
int asyncjob_context_pause(Slot*, Slot, int) noexcept {
    return 0;
}
int asyncjob_context_resume(Slot*, Slot, int) noexcept {
    return 0;
}
int asyncjob_context_start_shared(Slot*, void*, int (*)(void*), void*, void*) noexcept {
    return 0;
}
int asyncjob_context_first_pause_comparing(Slot*, Slot, int, void*) noexcept {
    return 0;
}
int asyncjob_context_pause_comparing(Slot*, Slot, int) noexcept {
    return 0;
}
int asyncjob_context_resume_comparing(Slot*, Slot, int) noexcept {
    return 0;
}
int asyncjob_context_first_pause_shared(Slot*, Slot, int, void*) noexcept {
    return 0;
}
int asyncjob_context_pause_shared(Slot*, Slot, int) noexcept {
    return 0;
}
int asyncjob_context_resume_shared(Slot*, Slot, int) noexcept {
    return 0;
}

}  // extern "C"

}  // namespace asyncjob::arch
