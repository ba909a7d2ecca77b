// SPDX-License-Identifier: Apache-2.0
// Writing to file descriptors and files.
//
// Owner: line.hpp, report.cpp, trace_file.cpp. Threads: any. Next layer down: the kernel.
#pragma once

#include <cstddef>

namespace asyncjob::os {

// All of it; false, with errno, if that cannot be. May be called in a signal handler.
[[nodiscard]] bool write_all(int fd, const char* text, std::size_t size) noexcept;

// The same at once, if that can be done within a second: for the last words of a process, which is
// to die of what it dies of, and not wait for a reader or get SIGPIPE.
// False: it was not.
[[nodiscard]] bool write_last_words(int fd, const char* text, std::size_t size) noexcept;

// A file's new content, put in its place at once: whoever opens the file sees the old or the new.
// Until then it is in a file `beside`, in the same folder. A device or a pipe is written to, and
// stays what it is; one that nobody reads is an error, and so is one that takes nothing for ten
// seconds. With false there is an errno, and the old content stays.
class Replacement {
  public:
    [[nodiscard]] bool begin(const char* path, const char* beside) noexcept;
    [[nodiscard]] bool write(const char* text, std::size_t size) noexcept;
    // Without it, or if it fails, there has been nothing.
    [[nodiscard]] bool put_in_place() noexcept;
    void give_up() noexcept;

  private:
    const char* path_ = nullptr;
    const char* beside_ = nullptr;  // NULL: a device or a pipe
    int fd_ = -1;
};

// Whether there could be one now. Asks devices and pipes nothing.
[[nodiscard]] bool can_be_replaced(const char* path, const char* beside) noexcept;

// All of it in one.
[[nodiscard]] bool replace_file(const char* path, const char* beside, const char* text,
                                std::size_t size) noexcept;

}  // namespace asyncjob::os
