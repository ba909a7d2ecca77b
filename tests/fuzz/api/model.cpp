// SPDX-License-Identifier: Apache-2.0
// What calls do, by their contracts. Contract: model.hpp.
#include "model.hpp"

#include <algorithm>
#include <utility>

namespace fuzz {

Fd* Ctx::newest(const void* key) {
    for (auto fd = fds.rbegin(); fd != fds.rend(); ++fd) {
        if (fd->key == key && !fd->is_deleted)
            return &*fd;
    }
    return nullptr;
}

bool Ctx::clear(const void* key) {
    Fd* const fd = newest(key);
    if (fd == nullptr)
        return false;
    if (fd->is_added)
        fds.erase(fds.begin() + (fd - fds.data()));  // added and deleted in one round
    else
        fd->is_deleted = true;
    return true;
}

void Ctx::end_round() {
    std::erase_if(fds, [](const Fd& fd) { return fd.is_deleted; });
    for (Fd& fd : fds)
        fd.is_added = false;
}

namespace {

template <typename Is>
std::vector<int> newest_first(const std::vector<Fd>& fds, Is is) {
    std::vector<int> numbers;
    for (auto fd = fds.rbegin(); fd != fds.rend(); ++fd) {
        if (is(*fd))
            numbers.push_back(fd->fd);
    }
    return numbers;
}

}  // namespace

std::vector<int> Ctx::all() const {
    return newest_first(fds, [](const Fd& fd) { return !fd.is_deleted; });
}
std::vector<int> Ctx::added() const {
    return newest_first(fds, [](const Fd& fd) { return fd.is_added; });
}
std::vector<int> Ctx::deleted() const {
    return newest_first(fds, [](const Fd& fd) { return fd.is_deleted; });
}

int Ctx::next_cleanup() {
    std::erase_if(fds, [this](const Fd& fd) { return fd.serial == in_cleanup; });
    while (!fds.empty() && (fds.back().is_deleted || !fds.back().has_cleanup))
        fds.pop_back();
    in_cleanup = fds.empty() ? none : fds.back().serial;
    return in_cleanup;
}

std::size_t Model::in_flight(int thread) const {
    return static_cast<std::size_t>(std::count_if(jobs.begin(), jobs.end(), [&](const Job& job) {
        return job.thread == thread && job.is_in_flight();
    }));
}

std::size_t Model::paused(int thread) const {
    return static_cast<std::size_t>(std::count_if(jobs.begin(), jobs.end(), [&](const Job& job) {
        return job.thread == thread && job.phase == Phase::paused;
    }));
}

int Model::why_not_resumed(int thread, int job) const {
    const Job& of = jobs[job];
    if (of.phase == Phase::ended)
        return ASYNCJOB_R_JOB_NOT_PAUSED;
    if (of.thread != thread)
        return ASYNCJOB_R_FOREIGN_THREAD;
    return of.phase == Phase::paused ? 0 : ASYNCJOB_R_JOB_RUNNING;
}

// How many idle jobs are kept; above that, half as many.
std::size_t Model::room(int thread) const {
    const Thread& self = threads[thread];
    const std::size_t total = self.idle + in_flight(thread);
    if (!self.is_open || (self.options.max != 0 && total > self.options.max))
        return 0;
    return 2 * std::max(self.options.high_water, self.options.prepared);
}

void Model::leave_place(Thread& self) {
    if (self.current != none)
        jobs[self.current].is_in_place = false;
}

int Model::init(int thread, const Options& options) {
    Thread& self = threads[thread];
    self.uses_jobs = true;
    if (options.prepared > most_jobs)
        return ASYNCJOB_R_NO_STACK;  // the machine asks for a few, or for more than there can be
    leave_place(self);
    const std::size_t busy = in_flight(thread);
    const bool other_stacks =
        options.stack != self.options.stack || options.guard != self.options.guard;
    if (other_stacks && busy > 0)
        return ASYNCJOB_R_JOBS_IN_FLIGHT;
    if (other_stacks)
        self.idle = 0;
    while (self.idle < options.prepared && (options.max == 0 || self.idle + busy < options.max))
        ++self.idle;
    self.is_open = true;
    self.options = options;
    if (options.max != 0 && self.idle + busy > options.max)
        self.idle -= std::min(self.idle, self.idle + busy - options.max);
    else if (self.idle > room(thread))
        self.idle = room(thread) / 2;
    return 0;
}

void Model::cleanup(int thread) {
    Thread& self = threads[thread];
    leave_place(self);
    Options options;
    if (in_flight(thread) > 0) {  // they stand on such stacks
        options.stack = self.options.stack;
        options.guard = self.options.guard;
    }
    self.options = options;
    self.is_open = false;
    self.idle = 0;
}

Start Model::start(int thread, int& reason) {
    Thread& self = threads[thread];
    if (self.in_hook) {
        reason = ASYNCJOB_R_IN_HOOK;
        return Start::fails;
    }
    leave_place(self);
    if (self.idle == 0 && self.options.max != 0 && in_flight(thread) >= self.options.max) {
        self.uses_jobs = true;
        ++self.refused;
        self.last_reason = ASYNCJOB_R_POOL_IS_FULL;
        self.awaits_room = self.slot_free != none;
        return Start::is_refused;
    }
    if (self.idle > 0) {
        --self.idle;
    } else {
        self.uses_jobs = true;
        self.is_open = true;
    }
    ++self.started;
    return Start::runs;
}

void Model::expect_hooks(Thread& self, int job, bool enters) {
    const auto expect = [&](const Hook& hook) {
        if (enters ? hook.has_enter : hook.has_leave)
            self.expected_hooks.push_back({hook.arg, enters, job});
    };
    if (enters)
        std::for_each(self.hooks.begin(), self.hooks.end(), expect);
    else
        std::for_each(self.hooks.rbegin(), self.hooks.rend(), expect);
}

void Model::enter(int thread, int job) {
    Thread& self = threads[thread];
    Job& entered = jobs[job];
    entered.outer = self.current;
    if (entered.outer != none)
        jobs[entered.outer].phase = Phase::waiting;
    entered.phase = Phase::running;
    self.current = job;
    self.peak = std::max<std::uint64_t>(self.peak, in_flight(thread));
    expect_hooks(self, job, true);
}

void Model::resume(int thread, int job, bool cancels) {
    Thread& self = threads[thread];
    Job& resumed = jobs[job];
    leave_place(self);
    if (cancels) {
        resumed.is_cancelled = true;
        ++self.cancelled;
    }
    resumed.is_listed = false;
    if (resumed.ctx != none)
        ctxs[resumed.ctx].end_round();
    enter(thread, job);
}

void Model::about_to_leave(int thread, Thread::Switch why) {
    Thread& self = threads[thread];
    self.pending = why;
    const Job& job = jobs[self.current];
    expect_hooks(self, self.current, false);
    if (why != Thread::Switch::end)
        return;
    self.destroyed.clear();
    self.to_destroy.clear();
    for (const auto& [key, value] : job.locals) {
        if (value == 0 || keys[key].key == 0 || keys[key].destructor == Destructor::none)
            continue;
        const int rounds =
            keys[key].destructor == Destructor::stores_again ? ASYNCJOB_DESTRUCTOR_ROUNDS : 1;
        self.to_destroy.insert(self.to_destroy.end(), static_cast<std::size_t>(rounds), value);
    }
}

void Model::settle(int thread) {
    switch (std::exchange(threads[thread].pending, Thread::Switch::none)) {
        case Thread::Switch::pause:
            return pause(thread);
        case Thread::Switch::end:
            return end(thread);
        case Thread::Switch::none:
            return;
    }
}

void Model::pause(int thread) {
    Thread& self = threads[thread];
    Job& job = jobs[self.current];
    self.status = ASYNC_PAUSE;
    self.last_job = self.current;
    job.phase = Phase::paused;
    job.is_in_place = false;
    if (job.is_deferred) {
        job.is_deferred = false;
        job.is_queued = true;
        self.queue.push_back(self.current);
    }
    self.current = job.outer;
    if (self.current != none)
        jobs[self.current].phase = Phase::running;
}

void Model::end(int thread) {
    Thread& self = threads[thread];
    Job& job = jobs[self.current];
    const std::size_t kept = room(thread);
    self.status = ASYNC_FINISH;
    self.last_job = self.current;
    ++self.finished;
    job.phase = Phase::ended;
    std::erase(self.queue, self.current);
    self.current = job.outer;
    if (self.current != none)
        jobs[self.current].phase = Phase::running;
    if (job.is_in_place) {
        ++self.idle;
    } else if (kept > 0) {
        if (++self.idle > kept)
            self.idle = kept / 2;
    }
    const std::size_t busy = in_flight(thread);
    if (!self.is_open && self.idle + busy == 0) {
        self.options.stack = Options{}.stack;
        self.options.guard = Options{}.guard;
    }
    if (self.awaits_room && (self.options.max == 0 || busy < self.options.max)) {
        self.awaits_room = false;
        self.expects_slot_free = true;
    }
}

bool Model::can_pause(int thread) const {
    const Thread& self = threads[thread];
    if (self.current == none || self.in_hook)
        return false;
    return !jobs[self.current].is_cancelled && jobs[self.current].blocked == 0;
}

void Model::wake(int job) {
    Job& woken = jobs[job];
    woken.is_woken = true;
    if (woken.is_queued || woken.is_deferred)
        return;
    woken.is_queued = true;
    threads[woken.thread].queue.push_back(job);
}

std::vector<int> Model::take_ready(int thread, std::size_t max) {
    Thread& self = threads[thread];
    std::vector<int> listed;
    while (listed.size() < max && !self.queue.empty()) {
        const int number = self.queue.front();
        Job& job = jobs[number];
        self.queue.pop_front();
        job.is_queued = false;
        if (job.phase != Phase::paused) {
            job.is_deferred = true;
            continue;
        }
        if (!job.is_woken)
            continue;  // it has heard of it
        job.is_woken = false;
        job.is_taken = true;
        if (job.is_listed)
            continue;
        job.is_listed = true;
        listed.push_back(number);
    }
    return listed;
}

asyncjob_stats_t Model::stats(int thread) const {
    const Thread& self = threads[thread];
    asyncjob_stats_t stats{};
    stats.started = self.started;
    stats.finished = self.finished;
    stats.cancelled = self.cancelled;
    stats.refused = self.refused;
    stats.peak = self.peak;
    stats.idle = self.idle;
    if (!self.is_there)
        return stats;
    stats.live = in_flight(thread);
    stats.paused = paused(thread);
    stats.threads = self.uses_jobs ? 1 : 0;
    return stats;
}

void Model::end_thread(int thread) {
    Thread& self = threads[thread];
    for (Job& job : jobs) {
        if (job.thread != thread || job.phase != Phase::paused)
            continue;
        job.phase = Phase::left_behind;
        ++left_behind;
    }
    self.is_there = false;
    self.idle = 0;
    self.queue.clear();
}

}  // namespace fuzz
