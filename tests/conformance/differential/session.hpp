// SPDX-License-Identifier: Apache-2.0
// One random sequence of calls, on one implementation: the driver's calls, and those of the
// functions of its jobs and of the cleanups of its wait fds, all from one seed, or from bytes. What
// comes next depends on these and on results that were compared, so two implementations go
// through the same sequence up to their first difference.
//
// The sequence keeps a model of what it made, for one purpose: not to make a call that
// libcrypto does not survive (a NULL context that is paused on, a look at a context's list
// in the second of its cleanups, and so on). What is right is libcrypto's to say.
#pragma once

#include <cstddef>
#include <cstdint>

#include "api.hpp"
#include "deviations.hpp"
#include "random.hpp"
#include "trace.hpp"

namespace differential {

// An implementation, with the library contexts that sequences set.
struct Side {
    const char* name;
    Api api;
    OSSL_LIB_CTX* lib_ctxs[4];  // the first is the process's
};

struct Plan {
    std::uint64_t sequence;  // for reports only
    std::uint64_t seed;
    Provoke provoke;
    const std::uint8_t* bytes = nullptr;  // instead of the seed, if there are some
    std::size_t size = 0;
};

// Makes the library contexts of a side whose functions are known.
[[nodiscard]] bool make_lib_ctxs(Side& side);

// Runs a sequence to its end, on threads of its own.
void run_session(const Side& side, const Plan& plan, Trace& trace);

// Where the calling thread is, for the report of a crash.
struct Place {
    const char* side;
    std::uint64_t sequence;
    const char* last_event;
};

[[nodiscard]] Place this_place();

}  // namespace differential
