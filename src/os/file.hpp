// SPDX-License-Identifier: Apache-2.0
// Writing to file descriptors and files.
//
// Owner: line.hpp, report.cpp, trace_file.cpp. Threads: any. Next layer down: the kernel.
#pragma once

#include <climits>
#include <cstddef>

namespace asyncjob::os {

// All of it; false, with errno, if that cannot be. May be called in a signal handler.
[[nodiscard]] bool write_all(int fd, const char* text, std::size_t size) noexcept;

// The same at once, if that can be done within a second: for the last words of a process, which is
// to die of what it dies of, and not wait for a reader or get SIGPIPE.
// False: it was not.
[[nodiscard]] bool write_last_words(int fd, const char* text, std::size_t size) noexcept;

// A file's new content, put in its place at once: whoever opens the file sees the old or the new.
// Until then it is in a file beside, whose name nothing else has. With false there is an errno, and
// the old content stays.
//
// A link stays, and what it leads to is replaced; but one that belongs neither to root nor to the
// process's user is an error. Devices and pipes, and what a link in /proc leads to, a file too, are
// written to and stay what they are: /dev/stdout is such a link. There a pipe that nobody reads is
// an error, and so is what takes nothing for ten seconds.
//
// Large, so static.
class Replacement {
  public:
    // Who may read a file that replaces another, or is new: all, as far as umask(2) lets them, or
    // the process's user.
    enum class For { all, user };

    constexpr explicit Replacement(For readers) : readers_(readers) {}

    [[nodiscard]] bool begin(const char* path) noexcept;
    [[nodiscard]] bool write(const char* text, std::size_t size) noexcept;
    // Without it, or if it fails, there has been nothing.
    [[nodiscard]] bool put_in_place() noexcept;
    void give_up() noexcept;
    // The first if all could be written, else the second, and false, with the errno of before.
    [[nodiscard]] bool finish(bool is_whole) noexcept;

    // Whether it could begin now. Asks what is written to nothing.
    [[nodiscard]] bool could_begin(const char* path) noexcept;

  private:
    enum class Way { none, replaced, written_to };
    [[nodiscard]] Way find_target(const char* path) noexcept;
    [[nodiscard]] bool follow(int link) noexcept;
    [[nodiscard]] bool make_beside() noexcept;

    For readers_;
    char target_[PATH_MAX]{};  // the path, behind links
    char beside_[PATH_MAX]{};  // empty: there is none
    char text_[PATH_MAX]{};    // of a link
    int fd_ = -1;
};

}  // namespace asyncjob::os
