// SPDX-License-Identifier: Apache-2.0
// Files on POSIX systems. Contract: file.hpp.
#include "os/file.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "os/clock.hpp"
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

// An fd while a function has it.
class Opened {
  public:
    explicit Opened(int fd) : fd_(fd) {}
    ~Opened() {
        const KeepErrno keep;
        if (fd_ >= 0)
            (void)close(fd_);
    }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    [[nodiscard]] int fd() const { return fd_; }

  private:
    int fd_;
};

// In /tmp anybody can make links.
bool is_trusted(const struct stat& link) {
    return link.st_uid == 0 || link.st_uid == geteuid();
}

// Its text is only a name for what it leads to.
bool is_of_proc(int link) {
    struct statfs where {};
    return fstatfs(link, &where) == 0 && where.f_type == PROC_SUPER_MAGIC;
}

// The number that a path ends with: -1 if it ends with none.
int number_at_end(const char* path) {
    const char* const name = std::strrchr(path, '/') + 1;
    char* end = nullptr;
    const long number = std::strtol(name, &end, 10);
    return end == name || *end != '\0' || number > INT_MAX ? -1 : static_cast<int>(number);
}

// What is not to be replaced.
int open_to_write(const char* path) {
    struct stat there {};
    if (stat(path, &there) != 0 || !S_ISREG(there.st_mode))
        return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    // A shell's `> FILE`, say. The program writes there, too, before and after, by an fd that has
    // a position, which must move.
    const int own = number_at_end(path);
    struct stat known {};
    if (fstat(own, &known) == 0 && known.st_dev == there.st_dev && known.st_ino == there.st_ino)
        return fcntl(own, F_DUPFD_CLOEXEC, 0);
    return open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

}  // namespace

// The text of the link at `target_` takes its place there.
bool Replacement::follow(int link) noexcept {
    const ssize_t size = readlinkat(link, "", text_, sizeof text_ - 1);
    if (size <= 0)
        return false;
    text_[size] = '\0';
    char* const end = text_[0] == '/' ? target_ : std::strrchr(target_, '/') + 1;
    const auto room = static_cast<std::size_t>(target_ + sizeof target_ - end);
    if (static_cast<std::size_t>(size) >= room) {
        errno = ENAMETOOLONG;
        return false;
    }
    std::memcpy(end, text_, static_cast<std::size_t>(size) + 1);
    return true;
}

Replacement::Way Replacement::find_target(const char* path) noexcept {
    if (std::snprintf(target_, sizeof target_, "%s", path) >= static_cast<int>(sizeof target_)) {
        errno = ENAMETOOLONG;
        return Way::none;
    }
    constexpr int most_links = 40;  // as the kernel's
    for (int links = 0; links <= most_links; ++links) {
        const Opened there(open(target_, O_PATH | O_NOFOLLOW | O_CLOEXEC));
        struct stat what {};
        if (there.fd() < 0 || fstat(there.fd(), &what) != 0)
            return errno == ENOENT ? Way::replaced : Way::none;
        if (!S_ISLNK(what.st_mode))
            return S_ISREG(what.st_mode) ? Way::replaced : Way::written_to;
        if (is_of_proc(there.fd()))
            return Way::written_to;
        if (!is_trusted(what)) {
            errno = EACCES;
            return Way::none;
        }
        if (!follow(there.fd()))
            return Way::none;
    }
    errno = ELOOP;
    return Way::none;
}

// Processes of several containers may have the same number, and a folder in common.
bool Replacement::make_beside() noexcept {
    const mode_t mode = readers_ == For::all ? 0644 : 0600;
    const auto moment = static_cast<unsigned>(now());
    for (unsigned tries = 0; tries < 100; ++tries) {
        const int length = std::snprintf(beside_, sizeof beside_, "%s.%ld-%08x.tmp", target_,
                                         static_cast<long>(getpid()), moment + tries);
        if (length >= static_cast<int>(sizeof beside_)) {
            errno = ENAMETOOLONG;
            break;
        }
        fd_ = open(beside_, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd_ >= 0)
            return true;
        if (errno != EEXIST)
            break;
    }
    beside_[0] = '\0';
    return false;
}

bool Replacement::begin(const char* path) noexcept {
    const Way way = find_target(path);
    if (way == Way::replaced)
        return make_beside();
    if (way == Way::written_to)
        fd_ = open_to_write(target_);
    return fd_ >= 0;
}

bool Replacement::could_begin(const char* path) noexcept {
    const Way way = find_target(path);
    if (way != Way::replaced)
        return way == Way::written_to;
    if (!make_beside())
        return false;
    give_up();
    return true;
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
    if (closed && (beside_[0] == '\0' || std::rename(beside_, target_) == 0)) {
        beside_[0] = '\0';
        return true;
    }
    give_up();
    return false;
}

bool Replacement::finish(bool is_whole) noexcept {
    if (is_whole)
        return put_in_place();
    give_up();
    return false;
}

void Replacement::give_up() noexcept {
    const KeepErrno keep;
    if (fd_ >= 0)
        (void)close(fd_);
    fd_ = -1;
    if (beside_[0] != '\0')
        (void)unlink(beside_);
    beside_[0] = '\0';
}

}  // namespace asyncjob::os
