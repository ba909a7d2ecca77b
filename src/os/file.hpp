// SPDX-License-Identifier: Apache-2.0
// Writing to file descriptors and files.
//
// Owner: dump.cpp and report.cpp. Threads: any. Next layer down: the kernel.
#pragma once

#include <cstddef>

namespace asyncjob::os {

// All of it; false, with errno, if that cannot be. May be called in a signal handler.
[[nodiscard]] bool write_all(int fd, const char* text, std::size_t size) noexcept;

// Makes the text a file's content, at once: whoever opens it sees the old or the new. Until then it
// is in a file `beside`, in the same folder. False, with errno, and the old one stays. A device or
// a pipe is written to, and stays what it is; one that nobody reads is an error.
[[nodiscard]] bool replace_file(const char* path, const char* beside, const char* text,
                                std::size_t size) noexcept;

}  // namespace asyncjob::os
