// SPDX-License-Identifier: Apache-2.0
// The floating-point status flags, which stay set from the first rounded result on. A switch
// that loads a whole control register is quick only while the flags of the two sides are
// equal; so benchmarks say which case they measure.
#pragma once

#include <cfenv>

// As in a thread that has not calculated yet.
inline void clear_fp_flags() {
    std::feclearexcept(FE_ALL_EXCEPT);
}

// As in a thread that has calculated.
inline void raise_inexact() {
    const volatile double one = 1.0;
    const volatile double three = 3.0;
    [[maybe_unused]] const volatile double third = one / three;
}
