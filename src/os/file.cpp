// SPDX-License-Identifier: Apache-2.0
// Files on POSIX systems. Contract: file.hpp.
#include "os/file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "os/keep_errno.hpp"

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

bool write_last_words(int fd, const char* text, std::size_t size) noexcept {
    const KeepErrno keep;
    constexpr int milliseconds = 1000;
    pollfd where{fd, POLLOUT, 0};
    int ready = -1;
    for (int tries = 0; tries < 10 && ready < 0; ++tries)  // signals interrupt it
        ready = poll(&where, 1, milliseconds);
    // A pipe without a reader is an error that it tells of.
    return ready == 1 && where.revents == POLLOUT &&
           write(fd, text, size) == static_cast<ssize_t>(size);
}

namespace {

bool is_file_or_none(const char* path) {
    struct stat there {};
    return stat(path, &there) != 0 || S_ISREG(there.st_mode);
}

}  // namespace

bool Replacement::begin(const char* path, const char* beside) noexcept {
    path_ = path;
    if (!is_file_or_none(path)) {
        beside_ = nullptr;
        fd_ = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return fd_ >= 0;
    }
    constexpr mode_t all_may_read = 0644;
    beside_ = beside;
    // What has its name may be left over, or somebody else's who waits for it.
    (void)unlink(beside);
    fd_ = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, all_may_read);
    return fd_ >= 0;
}

bool Replacement::write(const char* text, std::size_t size) noexcept {
    constexpr int ten_seconds = 10000;
    while (size > 0) {
        const ssize_t done = ::write(fd_, text, size);
        if (done > 0) {
            text += done;
            size -= static_cast<std::size_t>(done);
        } else if (done == 0 || (errno != EINTR && errno != EAGAIN)) {
            return false;
        } else if (errno == EAGAIN) {
            pollfd takes_more{fd_, POLLOUT, 0};
            if (poll(&takes_more, 1, ten_seconds) == 0) {
                errno = EAGAIN;
                return false;
            }
        }
    }
    return true;
}

bool Replacement::put_in_place() noexcept {
    const bool closed = close(fd_) == 0;
    fd_ = -1;
    if (closed && (beside_ == nullptr || std::rename(beside_, path_) == 0))
        return true;
    give_up();
    return false;
}

void Replacement::give_up() noexcept {
    const int why = errno;
    if (fd_ >= 0)
        (void)close(fd_);
    fd_ = -1;
    if (beside_ != nullptr)
        (void)unlink(beside_);
    errno = why;
}

bool can_be_replaced(const char* path, const char* beside) noexcept {
    if (!is_file_or_none(path))
        return true;
    Replacement file;
    if (!file.begin(path, beside))
        return false;
    file.give_up();
    return true;
}

bool replace_file(const char* path, const char* beside, const char* text,
                  std::size_t size) noexcept {
    Replacement file;
    if (!file.begin(path, beside))
        return false;
    if (file.write(text, size))
        return file.put_in_place();
    file.give_up();
    return false;
}

}  // namespace asyncjob::os
