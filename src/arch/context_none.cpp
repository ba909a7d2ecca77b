// SPDX-License-Identifier: Apache-2.0
// For platforms with neither assembly nor ucontext: the library builds and links, and says
// that it is not capable (S9). Nothing here is ever called; thread_state.cpp asks first.
#include "arch/context.hpp"

namespace asyncjob::arch {

const bool capable = false;
const bool can_share_fp_mode = false;
const char* const backend = "none";

extern "C" {

int asyncjob_context_start(Slot*, void*, Entry, void*) noexcept {
    return 0;
}
int asyncjob_context_switch(Slot*, int) noexcept {
    return 0;
}
int asyncjob_context_switch_shared(Slot*, int) noexcept {
    return 0;
}

}  // extern "C"

}  // namespace asyncjob::arch
