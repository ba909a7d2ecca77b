// SPDX-License-Identifier: Apache-2.0
// OpenSSL's error queue as a sentence.
//
// Threads: the calling thread's queue. Next layer down: libcrypto.
#pragma once

#include <string>

namespace asyncjob::cli {

// Empties the calling thread's queue and returns what it said, the first cause first. Where
// the offload provider gave a reason of its own, that alone.
std::string take_errors();

}  // namespace asyncjob::cli
