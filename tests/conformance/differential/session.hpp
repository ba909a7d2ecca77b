// SPDX-License-Identifier: Apache-2.0
// One random sequence of calls, on one implementation: the driver's calls, and those of the
// functions of its jobs and of the cleanups of its wait fds, all from one seed. What comes
// next depends on the seed and on results that were compared, so two implementations go
// through the same sequence up to their first difference.
//
// The sequence keeps a model of what it made, for one purpose: not to make a call that
// libcrypto does not survive (a NULL context that is paused on, a look at a context's list
// in the second of its cleanups, and so on). What is right is libcrypto's to say.
#pragma once

#include <cstdint>

#include "api.hpp"
#include "deviations.hpp"
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
};

// Runs a sequence to its end, on threads of its own.
void run_session(const Side& side, const Plan& plan, Trace& trace);

// Where the calling thread is, for the report of a crash.
struct Place {
    const char* side;
    std::uint64_t sequence;
    const char* last_event;
};

[[nodiscard]] Place this_place();

// Numbers that depend on their seed alone.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {  // splitmix64
        std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return mixed ^ (mixed >> 31);
    }

    // 0 to n - 1.
    int below(int n) { return static_cast<int>(next() % static_cast<std::uint64_t>(n)); }

    bool percent(int chance) { return below(100) < chance; }

  private:
    std::uint64_t state_;
};

}  // namespace differential
