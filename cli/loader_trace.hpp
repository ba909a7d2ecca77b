// SPDX-License-Identifier: Apache-2.0
// What the dynamic loader would do for a program: its libraries and which symbols would be
// bound where, with our libraries preloaded. The loader relocates the program and stops there.
//
// Threads: one at a time. Next layer down: the dynamic loader, in a process of its own.
#pragma once

#include <string>
#include <vector>

#include "program.hpp"

namespace asyncjob::cli {

struct Binding {
    std::string from;    // the file that needs the symbol
    std::string to;      // the file that has it
    std::string symbol;  // without its version
};

struct LoaderTrace {
    std::string libssl;  // the files, empty: not among the libraries
    std::string libcrypto;
    std::vector<Binding> bindings;
};

// Whether a file's name begins so.
bool is_library(const std::string& file, const std::string& name);

// Fills `trace` for the program with `libraries` preloaded. Returns an empty string, or what is
// wrong: a library is missing, say.
std::string trace_loader(const ProgramFacts& program, const std::vector<std::string>& libraries,
                         LoaderTrace& trace);

}  // namespace asyncjob::cli
