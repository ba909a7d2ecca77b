// SPDX-License-Identifier: Apache-2.0
// One phase, in this process: server, storm and plain requests.
//
// Threads: the server runs on the caller's. Next layer down: server.hpp, storm.hpp, plain.hpp,
// library.hpp.
#pragma once

#include <filesystem>

#include "modules.hpp"
#include "outcome.hpp"
#include "tls.hpp"

namespace asyncjob::demo {

// How long the load runs before anything is measured.
inline constexpr double warm_up_ms = 300;

// The offload provider has one set of workers in a process, so each phase needs a process.
// Throws when the phase cannot be run at all.
Outcome perform(const Plan& plan, const Modules& modules, const Identity& identity,
                const std::filesystem::path& folder);

}  // namespace asyncjob::demo
