// SPDX-License-Identifier: Apache-2.0
// What can be said of a program without running it: where it is, and whether the dynamic
// loader will honour LD_PRELOAD for it.
//
// Threads: any. Next layer down: the file system.
#pragma once

#include <filesystem>
#include <string>

namespace asyncjob::cli {

// The file that a shell would run for this name. Throws Failure with 127 (there is none) or
// 126 (it cannot be executed).
std::filesystem::path find_program(const std::string& name);

struct ProgramFacts {
    std::filesystem::path file;   // what was asked for
    std::filesystem::path image;  // the ELF file the kernel loads: file, or a script's
                                  // interpreter
    std::string loader;           // its dynamic loader
    std::string obstacle;         // why LD_PRELOAD is ignored and what to do; empty: it is not
};

// Looks at the program's file. Throws Failure with 126 for what the kernel cannot run.
ProgramFacts inspect_program(const std::filesystem::path& file);

// The dynamic loader of this program.
std::string own_loader();

}  // namespace asyncjob::cli
