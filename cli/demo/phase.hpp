// SPDX-License-Identifier: Apache-2.0
// Runs a phase in a child process, with progress on stderr and a limit on its time.
//
// Threads: fork() needs the caller's to be the only one. Next layer down: perform.hpp.
#pragma once

#include <filesystem>
#include <string>

#include "modules.hpp"
#include "outcome.hpp"
#include "tls.hpp"

namespace asyncjob::demo {

// The outcome, with its error set if anything went wrong. Throws if there can be no child.
Outcome run_phase(const Plan& plan, const Modules& modules, const Identity& identity,
                  const std::filesystem::path& folder, const std::string& label);

}  // namespace asyncjob::demo
