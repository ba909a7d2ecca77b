// SPDX-License-Identifier: Apache-2.0
// What an execution context has for its jobs: it waits for their fds and wakes, through one
// descriptor of its own however many they are, and ends them when the context goes. And what a
// thread has: which of its jobs belong to which driver, and who waits for room in its pool.
//
// The fds of jobs are polled by an epoll set of this service, and Asio is given that set's
// descriptor. A job may close its fd as soon as it goes on, when its number can come back as
// another file's, a socket of Asio's say: so they are out of the set before, which would be
// the wrong file's deregistration in Asio's own reactor. Nor does Asio make this set's fds
// non-blocking, which is a property of the file, that others have too.
//
// Threads: a context's jobs are one thread's at a time, the one that runs it. Others that run it
// as well are told so, hence the lock.
//
// Next layer down: driver.hpp, for what is told to go on; Asio.
#pragma once

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>
#include <unordered_map>

#include "config.hpp"
#include "driver.hpp"
#include ASYNCJOB_ASIO_HEADER(prefer.hpp)

namespace asyncjob {
inline namespace ASYNCJOB_ASIO_NAMESPACE {
namespace detail {

// Tells a driver, by handing it over.
inline void tell(std::shared_ptr<driver> which) {
    driver* const told = which.get();
    told->go_on(std::move(which));
}

// The calling thread's.
class thread_hub {
  public:
    thread_hub(const thread_hub&) = delete;
    thread_hub& operator=(const thread_hub&) = delete;
    ~thread_hub() = default;

    static thread_hub& here() {
        static thread_local thread_hub hub;
        return hub;
    }

    void list(ASYNC_JOB* job, driver& which) { jobs_[job] = which.weak_from_this(); }
    void unlist(ASYNC_JOB* job) { jobs_.erase(job); }

    std::shared_ptr<driver> find(ASYNC_JOB* job) {
        const auto found = jobs_.find(job);
        return found != jobs_.end() ? found->second.lock() : nullptr;
    }

    // Whether somebody is before those who come now.
    [[nodiscard]] bool has_queue() const { return !waiting_.empty(); }

    // A start got ASYNC_NO_JOBS: the driver is told when there is room. In front: it has waited
    // before.
    void wait_for_slot(driver& which, bool in_front) {
        if (in_front)
            waiting_.push_front(which.weak_from_this());
        else
            waiting_.push_back(which.weak_from_this());
    }

    // Whoever has been told tells the next one, if it was not refused: then there is a call again.
    void tell_next() {
        while (!waiting_.empty()) {
            std::shared_ptr<driver> next = waiting_.front().lock();
            waiting_.pop_front();
            if (next == nullptr)
                continue;
            const net::any_io_executor executor = next->executor();
            net::post(executor, slot_turn(*this, std::move(next)));
            return;
        }
    }

    // A driver whose job is about to end while nobody else holds it: it is destroyed when no frame
    // of the job refers to it any more, with this thread.
    void keep(std::shared_ptr<driver> which) { kept_.push_back(std::move(which)); }

  private:
    // Once, before the first start that may be refused: only of later ones is it told.
    thread_hub() { (void)asyncjob_on_slot_free(tell_next, this); }

    // Passed on also if the driver is never told, because its context is going.
    class slot_turn {
      public:
        slot_turn(thread_hub& hub, std::shared_ptr<driver> which)
            : hub_(&hub), which_(std::move(which)) {}
        slot_turn(slot_turn&&) noexcept = default;
        slot_turn& operator=(slot_turn&&) = delete;
        ~slot_turn() {
            if (which_ != nullptr && hub_ == &here())
                hub_->tell_next();
        }
        void operator()() {
            driver* const told = which_.get();
            if (told->slot_is_free(which_))
                which_.reset();
        }

      private:
        thread_hub* hub_;
        std::shared_ptr<driver> which_;
    };

    static void tell_next(void* hub) { static_cast<thread_hub*>(hub)->tell_next(); }

    std::unordered_map<ASYNC_JOB*, std::weak_ptr<driver>> jobs_;
    std::deque<std::weak_ptr<driver>> waiting_;
    std::vector<std::shared_ptr<driver>> kept_;
};

class job_service final : public net::execution_context::service {
  public:
    static inline net::execution_context::id id;
    using key_type = job_service;

    explicit job_service(net::execution_context& context)
        : net::execution_context::service(context) {}
    ~job_service() override {
        if (epoll_ >= 0)
            ::close(epoll_);
    }
    job_service(const job_service&) = delete;
    job_service& operator=(const job_service&) = delete;

    void add(driver& which) {
        const std::lock_guard lock(mutex_);
        which.next_ = drivers_;
        if (drivers_ != nullptr)
            drivers_->previous_ = &which;
        drivers_ = &which;
    }

    void remove(driver& which) {
        const std::lock_guard lock(mutex_);
        (which.previous_ != nullptr ? which.previous_->next_ : drivers_) = which.next_;
        if (which.next_ != nullptr)
            which.next_->previous_ = which.previous_;
        which.previous_ = which.next_ = nullptr;
    }

    // Whether the calling thread may have jobs here: no other has. Ends with give_up().
    [[nodiscard]] bool claim() {
        const std::lock_guard lock(mutex_);
        if (claims_ == 0 && home_ != std::this_thread::get_id()) {
            home_ = std::this_thread::get_id();
            if (ready_fd_ >= 0)
                (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, ready_fd_, nullptr);
            ready_fd_ = -1;
        }
        if (home_ != std::this_thread::get_id())
            return false;
        ++claims_;
        return true;
    }

    void give_up() {
        const std::lock_guard lock(mutex_);
        --claims_;
    }

    // Has the driver told when one of the fds is readable, or the job is woken. On its thread.
    error_code wait(driver& which, ASYNC_JOB* job, const std::vector<int>& fds) {
        const std::lock_guard lock(mutex_);
        if (const error_code failed = open(which); failed)
            return failed;
        for (const int fd : fds) {
            if (const error_code failed = poll(which, fd); failed) {
                unpoll(which);
                return failed;
            }
        }
        which.listed_as_ = job;
        if (job != nullptr)
            thread_hub::here().list(job, which);
        which.is_waiting_ = true;
        ++waiting_;
        arm();
        return {};
    }

    // No longer. Any thread: but only the job's finds its job on the list of those.
    void stop_waiting(driver& which) {
        const std::lock_guard lock(mutex_);
        if (forget_wait(which) && --waiting_ == 0 && is_armed_)
            descriptor_->cancel();
    }

  private:
    // Drivers that are to be told, each by its own executor. What is left when one throws, as
    // handlers may, is told later.
    class told {
      public:
        explicit told(job_service& service) : service_(service) {}
        told(const told&) = delete;
        told& operator=(const told&) = delete;
        ~told() {
            for (; at_ < all.size(); ++at_)
                net::post(all[at_]->executor(),
                          [which = all[at_]]() mutable { tell(std::move(which)); });
            const std::lock_guard lock(service_.mutex_);
            if (service_.waiting_ > 0 && !service_.is_closed_)
                service_.arm();
        }
        void tell_all(bool is_foreign) {
            while (at_ < all.size()) {
                std::shared_ptr<driver> which = std::move(all[at_++]);
                const net::any_io_executor executor = which->executor();
                net::dispatch(executor, [which = std::move(which), is_foreign]() mutable {
                    driver* const one = which.get();
                    if (is_foreign)
                        one->turn_away(std::move(which));
                    else
                        one->go_on(std::move(which));
                });
            }
        }

        std::vector<std::shared_ptr<driver>> all;

      private:
        job_service& service_;
        std::size_t at_ = 0;
    };

    void shutdown() override {
        std::vector<std::shared_ptr<driver>> all;
        {
            const std::lock_guard lock(mutex_);
            is_closed_ = true;
            while (drivers_ != nullptr) {
                driver& which = *drivers_;
                drivers_ = which.next_;
                (void)forget_wait(which);
                which.previous_ = which.next_ = nullptr;
                which.service_ = nullptr;
                if (std::shared_ptr<driver> held = which.weak_from_this().lock())
                    all.push_back(std::move(held));
            }
            waiting_ = 0;
        }
        for (std::shared_ptr<driver>& each : all) {
            driver* const which = each.get();
            which->shut_down(std::move(each));
        }
        if (descriptor_.has_value()) {
            descriptor_.reset();
            epoll_ = -1;
        }
    }

    // False: it does not wait.
    bool forget_wait(driver& which) {
        if (!which.is_waiting_)
            return false;
        unpoll(which);
        if (which.listed_as_ != nullptr && home_ == std::this_thread::get_id())
            thread_hub::here().unlist(which.listed_as_);
        which.listed_as_ = nullptr;
        which.is_waiting_ = false;
        return true;
    }

    // The set, with the thread's own descriptor in it.
    error_code open(driver& which) {
        if (epoll_ < 0) {
            epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
            if (epoll_ < 0)
                return system_code(errno);
        }
        if (!descriptor_.has_value()) {
            // One that counts as work would keep the context from ever having none.
            descriptor_.emplace(
                net::prefer(which.executor(), net::execution::outstanding_work.untracked));
            error_code failed;
            descriptor_->assign(epoll_, failed);
            if (failed) {
                descriptor_.reset();
                return failed;
            }
        }
        if (ready_fd_ < 0) {
            ready_fd_ = asyncjob_ready_fd();
            if (ready_fd_ < 0)
                return system_code(asyncjob_last_reason() == ASYNCJOB_R_NO_FD ? EMFILE : ENOMEM);
            if (add(ready_fd_, nullptr) != 0) {
                ready_fd_ = -1;
                return system_code(errno);
            }
        }
        return {};
    }

    int add(int fd, driver* which) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = which;
        return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }

    error_code poll(driver& which, int fd) {
        if (add(fd, &which) == 0) {
            which.polled_.push_back({fd, false});
            return {};
        }
        if (errno == EEXIST) {
            // Another job's, too: the set knows it by its number.
            const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
            if (copy < 0)
                return system_code(errno);
            if (add(copy, &which) != 0) {
                const int failed = errno;
                ::close(copy);
                return system_code(failed);
            }
            which.polled_.push_back({copy, true});
            return {};
        }
        if (errno != EPERM && errno != EBADF)
            return system_code(errno);
        // A regular file is always readable; and of what is not open, reading tells.
        net::post(which.executor(),
                  [which = which.shared_from_this()]() mutable { tell(std::move(which)); });
        return {};
    }

    void unpoll(driver& which) {
        for (const driver::polled& each : which.polled_) {
            (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, each.fd, nullptr);
            if (each.is_ours)
                ::close(each.fd);
        }
        which.polled_.clear();
    }

    void arm() {
        if (is_armed_)
            return;
        is_armed_ = true;
        descriptor_->async_wait(net::posix::descriptor_base::wait_read,
                                [this](const error_code&) { come(); });
    }

    // Something may have: fds, wakes, or the wait was cancelled.
    void come() {
        told ones(*this);
        bool is_foreign = false;
        {
            const std::lock_guard lock(mutex_);
            is_armed_ = false;
            if (is_closed_ || waiting_ == 0)
                return;
            is_foreign = home_ != std::this_thread::get_id();
            if (is_foreign)
                take_all(ones.all);
            else
                take_ready(ones.all);
        }
        ones.tell_all(is_foreign);
    }

    void take_all(std::vector<std::shared_ptr<driver>>& all) {
        for (driver* each = drivers_; each != nullptr; each = each->next_) {
            if (!each->is_waiting_)
                continue;
            if (std::shared_ptr<driver> held = each->weak_from_this().lock())
                all.push_back(std::move(held));
        }
    }

    void take_ready(std::vector<std::shared_ptr<driver>>& all) {
        std::array<epoll_event, 64> events;
        const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
        bool has_woken = false;
        for (int i = 0; i < count; ++i) {
            auto* const which = static_cast<driver*>(events[i].data.ptr);
            if (which == nullptr)
                has_woken = true;
            else if (std::shared_ptr<driver> held = which->weak_from_this().lock())
                all.push_back(std::move(held));
        }
        if (!has_woken)
            return;
        std::array<ASYNC_JOB*, 64> jobs;
        for (std::size_t taken = jobs.size(); taken == jobs.size();) {
            taken = asyncjob_take_ready(jobs.data(), jobs.size());
            for (std::size_t i = 0; i < taken; ++i) {
                if (std::shared_ptr<driver> found = thread_hub::here().find(jobs[i]))
                    all.push_back(std::move(found));
            }
        }
    }

    std::mutex mutex_;
    driver* drivers_ = nullptr;
    std::thread::id home_;
    std::size_t claims_ = 0;
    std::size_t waiting_ = 0;
    std::optional<net::posix::stream_descriptor> descriptor_;
    int epoll_ = -1;
    int ready_fd_ = -1;
    bool is_armed_ = false;
    bool is_closed_ = false;
};

inline driver::driver(net::any_io_executor executor)
    : service_(&net::use_service<job_service>(net::query(executor, net::execution::context))),
      executor_(std::move(executor)) {
    service_->add(*this);
}

inline driver::~driver() {
    if (service_ == nullptr)
        return;
    service_->stop_waiting(*this);
    service_->remove(*this);
}

}  // namespace detail
}  // namespace ASYNCJOB_ASIO_NAMESPACE
}  // namespace asyncjob
