// SPDX-License-Identifier: Apache-2.0
// Files on POSIX systems. Contract: file.hpp.
#include "os/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>

namespace asyncjob::os {

bool write_all(int fd, const char* text, std::size_t size) noexcept {
    const int before = errno;
    while (size > 0) {
        const ssize_t done = write(fd, text, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        text += done;
        size -= static_cast<std::size_t>(done);
    }
    errno = before;
    return true;
}

bool replace_file(const char* path, const char* text, std::size_t size) noexcept {
    char temporary[PATH_MAX];
    const int length =
        std::snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, static_cast<long>(getpid()));
    if (length < 0 || static_cast<std::size_t>(length) >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return false;
    }
    constexpr mode_t all_may_read = 0644;
    const int fd =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, all_may_read);
    if (fd < 0)
        return false;
    const bool written = write_all(fd, text, size);
    if (close(fd) == 0 && written && std::rename(temporary, path) == 0)
        return true;
    const int why = errno;
    (void)unlink(temporary);
    errno = why;
    return false;
}

}  // namespace asyncjob::os
