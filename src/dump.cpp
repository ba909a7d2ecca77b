// SPDX-License-Identifier: Apache-2.0
// The lines of jobs. Contract: dump.hpp; what a line has: asyncjob/control.h.
#include "dump.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>

#include "arch/context.hpp"
#include "line.hpp"
#include "os/clock.hpp"
#include "os/loader.hpp"
#include "os/memory.hpp"
#include "os/thread.hpp"
#include "threads.hpp"
#include "wait_ctx.hpp"

namespace asyncjob {

namespace {

// What a line is to say, copied while the job's list is locked: no line is written and no symbol
// looked for then, as a pipe may be full, and the loader's lock be held by who waits for the list.
struct Record {
    enum class Kind : std::uint8_t { job, thread_is_busy, cannot_look };
    static constexpr std::size_t most_fds = 8;
    static constexpr os::Time no_age = -1;

    Kind kind;
    std::uint8_t fd_count;  // most_fds + 1: there are more
    int thread;
    const char* state;
    const void* job;
    os::Time age;
    const void* at;          // NULL: not known
    std::size_t stack_used;  // 0: not known
    std::size_t stack_size;
    OSSL_ASYNC_FD fds[most_fds + 1];
};

class Records {
  public:
    [[nodiscard]] bool full() const { return count_ == most; }
    void add(const Record& record) { records_[count_++] = record; }
    [[nodiscard]] const Record* begin() const { return records_; }
    [[nodiscard]] const Record* end() const { return records_ + count_; }

  private:
    // Few: a signal handler may have little stack.
    static constexpr std::size_t most = 16;

    Record records_[most];
    std::size_t count_ = 0;
};

// How far a dump has come. Threads and jobs are gone through from the newest to the oldest, so
// those that come meanwhile are not met, and no other is passed by.
struct Place {
    std::uint64_t thread = std::numeric_limits<std::uint64_t>::max();
    const Job* job = nullptr;  // the last one that was seen; NULL: none of this thread
    std::uint64_t made = 0;
};

os::Time age_of_pause(const Job& job) {
    const os::Time since = job.paused_at.load(std::memory_order_relaxed);
    return since == 0 ? Record::no_age : std::max<os::Time>(0, os::now() - since);
}

std::size_t stack_used(const Stack& stack, const void* frame) {
    const auto* const lowest = static_cast<const std::byte*>(frame);
    return lowest >= stack.low && lowest < stack.high
               ? static_cast<std::size_t>(stack.high - lowest)
               : 0;
}

const void* where_it_paused(const Job& job) {
    const void* const place = arch::return_place(job.fiber.suspended);
    const void* address = nullptr;
    return place != nullptr && os::copy_memory(&address, place, sizeof address)
               ? arch::code_address(address)
               : nullptr;
}

// The job that this thread runs waits for nothing; those that are on the way to it do.
const char* state_of_unpaused(const ThreadEntry& thread, const Job* job, std::size_t& depth) {
    constexpr std::size_t deepest = 100000;
    depth = 0;
    for (ASYNC_JOB* at = *thread.current; at != nullptr && depth < deepest;
         at = Job::of(at)->outer) {
        if (Job::of(at) == job)
            return depth == 0 ? "running" : "waiting";
        ++depth;
    }
    return nullptr;
}

// Nothing, if the job is neither running nor paused.
void look_at_job(Records& records, const ThreadEntry& thread, const Job* job, bool is_own) {
    // Of one moment, as nearly as may be: its thread may be going on.
    alignas(Job) std::byte image[sizeof(Job)];
    Record record{};
    const ASYNC_JOB* const current_before = *thread.current;
    if (!os::copy_memory(image, job, sizeof image)) {
        record.kind = Record::Kind::cannot_look;
        records.add(record);
        return;
    }
    const Job& copy = *reinterpret_cast<const Job*>(image);
    const ASYNC_JOB* const name = Job::name_of(job, copy.serial());
    const ASYNC_JOB* const current = *thread.current;
    const bool is_paused = name != current_before && copy.is_paused_for(thread.key, current, name);
    std::size_t depth = 0;
    record.state = is_paused ? "paused" : state_of_unpaused(thread, job, depth);
    if (record.state == nullptr)
        return;
    record.thread = thread.id;
    record.job = name;
    record.age = is_paused ? age_of_pause(copy) : Record::no_age;
    if (copy.wait != nullptr)
        record.fd_count = static_cast<std::uint8_t>(
            ASYNC_WAIT_CTX::peek_fds(copy.wait, record.fds, Record::most_fds + 1, os::copy_memory));
    const Stack& stack = copy.rest.stack;
    record.stack_size = static_cast<std::size_t>(stack.high - stack.low);
    if (is_paused) {
        record.stack_used = stack_used(stack, copy.fiber.suspended);
        record.at = where_it_paused(copy);
    } else if (is_own && depth == 0) {
        record.stack_used = stack_used(stack, __builtin_frame_address(0));
    }
    // Else what was looked at belonged to a job that goes on now.
    if (!is_paused || job->is_paused_for(thread.key, *thread.current, name))
        records.add(record);
}

// Goes on with the thread of the place. False: there is more of it.
bool look_at_thread(Records& records, const ThreadEntry& thread, const AllThreads& threads,
                    Place& place) {
    if (!threads.lock_jobs(thread)) {
        Record record{};
        record.kind = Record::Kind::thread_is_busy;
        record.thread = thread.id;
        records.add(record);
        return true;
    }
    const JobPool& pool = *thread.pool;
    const bool is_own = thread.id == os::thread_id();
    const Job* job = place.job == nullptr ? pool.newest() : pool.next_older(place.job, place.made);
    for (; job != nullptr && !records.full(); job = job->made_before) {
        place.job = job;
        place.made = job->made;
        look_at_job(records, thread, job, is_own);
    }
    thread.pool->list_lock().unlock();
    return job == nullptr;
}

// From the place on, which becomes where it has come to. False: there is more.
bool look_on(Records& records, const AllThreads& threads, Place& place) {
    for (const ThreadEntry* thread = threads.first(); thread != nullptr; thread = thread->next) {
        if (thread->serial > place.thread)
            continue;
        if (thread->serial < place.thread)
            place = {thread->serial, nullptr, 0};
        if (records.full() || !look_at_thread(records, *thread, threads, place))
            return false;
        place = {thread->serial - 1, nullptr, 0};
    }
    return true;
}

void add_age(Line& line, os::Time age) {
    if (age == Record::no_age) {
        line.text(" age=-");
        return;
    }
    const auto nanoseconds = static_cast<std::uint64_t>(age);
    line.text(" age=").number(nanoseconds / os::second);
    line.text(".").number(nanoseconds / 1000 % 1000000, 10, 6);
}

void add_fds(Line& line, const Record& record) {
    line.text(" fds=");
    if (record.fd_count == 0)
        line.text("-");
    for (std::size_t at = 0; at < record.fd_count; ++at) {
        if (at > 0)
            line.text(",");
        if (at == Record::most_fds)
            line.text("...");
        else
            line.signed_number(record.fds[at]);
    }
}

void add_stack(Line& line, const Record& record) {
    line.text(" stack=");
    if (record.stack_used == 0)
        line.text("-");
    else
        line.number(record.stack_used);
    line.text("/").number(record.stack_size);
}

void add_place(Line& line, const void* address) {
    if (address == nullptr) {
        line.text(" at=- symbol=-");
        return;
    }
    line.text(" at=").address(address).text(" symbol=");
    const os::Symbol symbol = os::symbol_at(address);
    if (symbol.name == nullptr)
        line.text("-");
    else
        line.text(symbol.name).text("+0x").number(symbol.offset, 16);
}

bool write_record(int fd, const Record& record) {
    Line line;
    switch (record.kind) {
        case Record::Kind::thread_is_busy:
            line.text("# thread=").signed_number(record.thread);
            line.text(" is making or destroying a job: try again");
            break;
        case Record::Kind::cannot_look:
            line.text(
                "# jobs cannot be looked at: process_vm_readv() is refused, "
                "and there is no pipe to be had");
            break;
        case Record::Kind::job:
            line.text("job=").address(record.job).text(" state=").text(record.state);
            line.text(" thread=").signed_number(record.thread);
            add_age(line, record.age);
            add_fds(line, record);
            add_stack(line, record);
            add_place(line, record.at);
            break;
    }
    return line.write(fd);
}

bool write_all_jobs(int fd) {
    Place place;
    for (bool is_last = false; !is_last;) {
        Records records;
        {
            const AllThreads threads(AllThreads::When::if_possible);
            if (!threads)
                return Line().text("# the list of threads is in use: try again").write(fd);
            is_last = look_on(records, threads, place);
        }
        for (const Record& record : records) {
            if (!write_record(fd, record))
                return false;
            if (record.kind == Record::Kind::cannot_look)
                return true;  // no other either
        }
    }
    return true;
}

}  // namespace

bool dump(int fd) noexcept {
    const int before = errno;
    if (!write_all_jobs(fd))
        return false;
    errno = before;
    return true;
}

}  // namespace asyncjob
