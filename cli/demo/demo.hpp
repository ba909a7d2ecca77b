// SPDX-License-Identifier: Apache-2.0
// `asyncjob demo`: shows, on loopback and in under a minute, what jobs and the offload
// provider do for a single-threaded TLS server, in a table, a page and JSON.
//
// Next layer down: phase.hpp, table.hpp, page.hpp.
#pragma once

#include <CLI/CLI.hpp>

namespace asyncjob::cli {

// Adds the subcommand `demo`. When it is chosen and fails, it says why on stderr and leaves 1
// in status.
void add_demo(CLI::App& app, int& status);

}  // namespace asyncjob::cli
