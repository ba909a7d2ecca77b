// SPDX-License-Identifier: Apache-2.0
// The deviations from libcrypto that can be seen without bringing it down, by the identifiers
// of doc/compatibility.md.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "trace.hpp"

namespace differential {

// What a sequence does to meet a deviation; none is what all do otherwise.
enum class Provoke {
    none,
    empty_args,
    alignment,
    left_over_block,
    unlimited_init,
    second_init,
    signal_mask,
    rounding_mode,
    error_number,
    exception,
    add_in_cleanup,
    null_ctx,
    invalid_status,
};

struct Deviation {
    Provoke provoke;
    const char* name;
    // Whether a difference is this deviation, and in full what is expected of both.
    bool (*is)(const Event& libcrypto, const Event& asyncjob);
};

[[nodiscard]] const std::vector<Deviation>& deviations();

// The deviation that a difference is, or NULL.
[[nodiscard]] const Deviation* find_deviation(const Event& libcrypto, const Event& asyncjob);

// The identifiers in a document: in backquotes, first in a row of a table.
[[nodiscard]] std::set<std::string> listed_deviations(const std::string& path);

}  // namespace differential
