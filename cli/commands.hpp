// SPDX-License-Identifier: Apache-2.0
// The subcommands: each adds itself to the parser and, when it is chosen, does its work in
// the parser's callback and leaves the exit status behind, or throws Failure.
//
// Threads: main only. Next layer down: run.cpp, doctor.cpp, bench.cpp.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

namespace asyncjob::cli {

// What stood behind "--" on the command line; nothing where there was no "--".
using ProgramArguments = std::optional<std::vector<std::string>>;

void add_run(CLI::App& app, const ProgramArguments& program, int& status);
void add_doctor(CLI::App& app, const ProgramArguments& program, int& status);
void add_bench(CLI::App& app, int& status);

}  // namespace asyncjob::cli
