// SPDX-License-Identifier: Apache-2.0
// Files on POSIX systems. Contract: file.hpp.
#include "os/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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

namespace {

bool write_and_close(int fd, const char* text, std::size_t size) {
    const bool written = write_all(fd, text, size);
    const int why = errno;
    const bool closed = close(fd) == 0;
    if (!written)
        errno = why;
    return written && closed;
}

}  // namespace

bool replace_file(const char* path, const char* beside, const char* text,
                  std::size_t size) noexcept {
    struct stat there {};
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        const int device = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return device >= 0 && write_and_close(device, text, size);
    }
    constexpr mode_t all_may_read = 0644;
    // What has its name may be left over, or somebody else's who waits for it.
    (void)unlink(beside);
    const int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, all_may_read);
    if (fd < 0)
        return false;
    if (write_and_close(fd, text, size) && std::rename(beside, path) == 0)
        return true;
    const int why = errno;
    (void)unlink(beside);
    errno = why;
    return false;
}

}  // namespace asyncjob::os
