// SPDX-License-Identifier: Apache-2.0
// epoll, eventfd and timerfd. Contract: event.hpp.
#include "os/event.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <ctime>
#include <utility>

#include "os/keep_errno.hpp"

namespace asyncjob::os {

namespace {

bool watch(int epoll, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Forgets it first: a child that is forked in between must not close what has its number then.
void close_one(int& fd) {
    const int closed = std::exchange(fd, no_fd);
    if (closed != no_fd)
        close(closed);
}

}  // namespace

bool open_event(EventFds& fds) noexcept {
    fds.ready = epoll_create1(EPOLL_CLOEXEC);
    fds.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fds.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fds.ready != no_fd && fds.event != no_fd && fds.timer != no_fd &&
        watch(fds.ready, fds.event) && watch(fds.ready, fds.timer))
        return true;
    const KeepErrno keep;
    close_event(fds);
    return false;
}

void close_event(EventFds& fds) noexcept {
    close_one(fds.ready);
    close_one(fds.event);
    close_one(fds.timer);
}

void signal_event(int event) noexcept {
    const KeepErrno keep;
    (void)eventfd_write(event, 1);
}

void drain_event(int event) noexcept {
    const KeepErrno keep;
    eventfd_t count = 0;
    (void)eventfd_read(event, &count);
}

void set_timer(int timer, Time at) noexcept {
    const KeepErrno keep;
    itimerspec spec{};
    if (at != never) {
        spec.it_value.tv_sec = at / second;
        spec.it_value.tv_nsec = at % second;
    }
    (void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, nullptr);
}

}  // namespace asyncjob::os
