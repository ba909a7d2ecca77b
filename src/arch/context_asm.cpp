// SPDX-License-Identifier: Apache-2.0
// What the assembly backends say of themselves. The switch is in context_<cpu>.S.
#include "arch/context.hpp"

namespace asyncjob::arch {

const bool capable = true;
const bool can_share_fp_mode = true;
#if defined(__x86_64__)
const char* const backend = "x86_64 assembly";
#endif

}  // namespace asyncjob::arch
