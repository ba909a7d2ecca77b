// SPDX-License-Identifier: Apache-2.0
// What the system says of the program that this process runs.
//
// Owner: output_file.cpp. Threads: any. Next layer down: libc.
#pragma once

namespace asyncjob::os {

// A variable of the environment; NULL if it is not set, or the program has more rights than the
// user who set it.
[[nodiscard]] const char* trusted_variable(const char* name) noexcept;

// Its file's name, without folders.
[[nodiscard]] const char* program_name() noexcept;

}  // namespace asyncjob::os
