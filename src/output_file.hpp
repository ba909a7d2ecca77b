// SPDX-License-Identifier: Apache-2.0
// A file that a variable of the environment names, for the process to write when it exits.
//
// The variable is read when the library is loaded: programs overwrite their environment, change
// their folder, and drop rights later on.
//
// Owner: report.cpp and trace.cpp, which have one each. Threads: the one that loads the library,
// then the one that exits. Next layer down: os/program.hpp, os/file.hpp.
#pragma once

#include <climits>
#include <cstddef>

namespace asyncjob {

class OutputFile {
  public:
    constexpr explicit OutputFile(const char* variable) : variable_(variable) {}

    // When the library is loaded.
    void read_variable() noexcept;

    [[nodiscard]] bool is_wanted() const { return pattern_[0] != '\0'; }

    // The file's name, with the number of this process for %p. If `gets_own` a name without %p has
    // the number at its end. False, and that is said, if it is too long.
    [[nodiscard]] bool find_path(bool gets_own) noexcept;
    [[nodiscard]] const char* path() const { return path_; }

    // On standard error.
    void complain(const char* what, const char* why) const noexcept;
    void complain(const char* why) const noexcept { complain(pattern_, why); }

    // The program's name, as a JSON string can have it without escapes. Programs overwrite where
    // libc has it.
    [[nodiscard]] const char* program() const { return program_; }

  private:
    [[nodiscard]] bool expand(bool gets_own) noexcept;

    const char* variable_;
    char pattern_[PATH_MAX]{};  // absolute, or empty; may have %p
    char path_[PATH_MAX]{};
    char program_[64]{};
};

// Copies text that a JSON string can have without escapes: what it cannot becomes '?'.
void copy_plain(char* to, std::size_t room, const char* from) noexcept;

}  // namespace asyncjob
