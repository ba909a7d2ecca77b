// SPDX-License-Identifier: Apache-2.0
// The lines of jobs. Contract: dump.hpp; what a line has: asyncjob/control.h.
#include "dump.hpp"

#include <cstring>

#include "arch/context.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/loader.hpp"
#include "os/memory.hpp"
#include "os/thread.hpp"
#include "threads.hpp"
#include "wait_ctx.hpp"

namespace asyncjob {

namespace {

// A line, as far as there is room. snprintf() is not for signal handlers.
class Line {
  public:
    Line& text(const char* more) {
        while (*more != '\0' && size_ < sizeof text_ - 1)
            text_[size_++] = *more++;
        return *this;
    }
    Line& number(std::uint64_t value, unsigned base = 10, unsigned digits = 1) {
        char reversed[20];
        unsigned count = 0;
        do {
            reversed[count++] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value != 0);
        for (; digits > count; --digits)
            text("0");
        while (count > 0) {
            const char digit[] = {reversed[--count], '\0'};
            text(digit);
        }
        return *this;
    }
    Line& address(const void* address) {
        return text("0x").number(reinterpret_cast<std::uintptr_t>(address), 16);
    }
    [[nodiscard]] bool write(int fd) {
        text_[size_++] = '\n';
        return os::write_all(fd, text_, size_);
    }

  private:
    char text_[512];
    std::size_t size_ = 0;
};

void add_age(Line& line, const Job& job) {
    const os::Time since = job.paused_at.load(std::memory_order_relaxed);
    if (since == 0) {
        line.text(" age=-");
        return;
    }
    const auto age = static_cast<std::uint64_t>(os::now() - since);
    line.text(" age=").number(age / os::second).text(".").number(age / 1000 % 1000000, 10, 6);
}

void add_fds(Line& line, const ASYNC_WAIT_CTX* wait) {
    constexpr std::size_t most = 8;
    OSSL_ASYNC_FD fds[most + 1];
    const std::size_t count =
        wait == nullptr ? 0 : ASYNC_WAIT_CTX::peek_fds(wait, fds, most + 1, os::copy_memory);
    line.text(" fds=");
    if (count == 0)
        line.text("-");
    for (std::size_t at = 0; at < count; ++at) {
        if (at > 0)
            line.text(",");
        if (at == most)
            line.text("...");
        else
            line.number(static_cast<std::uint64_t>(fds[at]));
    }
}

void add_stack(Line& line, const Stack& stack, const void* frame) {
    const auto* const lowest = static_cast<const std::byte*>(frame);
    line.text(" stack=");
    if (lowest >= stack.low && lowest < stack.high)
        line.number(static_cast<std::uint64_t>(stack.high - lowest));
    else
        line.text("-");
    line.text("/").number(static_cast<std::uint64_t>(stack.high - stack.low));
}

void add_place(Line& line, arch::Slot suspended) {
    const void* const place = arch::return_place(suspended);
    const void* address = nullptr;
    if (place == nullptr || !os::copy_memory(&address, place, sizeof address)) {
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

bool dump_job(int fd, const ThreadEntry& thread, const Job* job, bool is_own) {
    // Of one moment, as nearly as may be: its thread may be going on.
    alignas(Job) std::byte image[sizeof(Job)];
    if (!os::copy_memory(image, job, sizeof image))
        return true;
    const Job& copy = *reinterpret_cast<const Job*>(image);
    auto* const name =
        reinterpret_cast<ASYNC_JOB*>(reinterpret_cast<std::uintptr_t>(job) | copy.serial());
    const ASYNC_JOB* const current = *thread.current;
    const bool is_paused = copy.is_paused_for(thread.key, current, name);
    std::size_t depth = 0;
    const char* const state = is_paused ? "paused" : state_of_unpaused(thread, job, depth);
    if (state == nullptr)
        return true;
    Line line;
    line.text("job=").address(name);
    line.text(" state=").text(state).text(" thread=").number(static_cast<unsigned>(thread.id));
    if (is_paused) {
        add_age(line, copy);
        add_fds(line, copy.wait);
        add_stack(line, copy.rest.stack, copy.fiber.suspended);
        add_place(line, copy.fiber.suspended);
    } else {
        line.text(" age=-");
        add_fds(line, copy.wait);
        add_stack(line, copy.rest.stack,
                  is_own && depth == 0 ? __builtin_frame_address(0) : nullptr);
        line.text(" at=- symbol=-");
    }
    // What was looked at belonged to a job that goes on now.
    if (is_paused && !job->is_paused_for(thread.key, *thread.current, name))
        return true;
    return line.write(fd);
}

bool dump_thread(int fd, const ThreadEntry& thread) {
    os::ForkLock& lock = thread.pool->list_lock();
    if (!lock.lock_in_time()) {
        return Line()
            .text("# thread=")
            .number(static_cast<unsigned>(thread.id))
            .text(" is making or destroying a job: try again")
            .write(fd);
    }
    bool done = true;
    const bool is_own = thread.id == os::thread_id();
    for (const Job* job = thread.pool->newest(); job != nullptr && done; job = job->made_before)
        done = dump_job(fd, thread, job, is_own);
    lock.unlock();
    return done;
}

}  // namespace

bool dump(int fd) noexcept {
    const AllThreads threads(AllThreads::When::if_possible);
    if (!threads)
        return Line().text("# the list of threads is in use: try again").write(fd);
    bool done = true;
    for (const ThreadEntry* thread = threads.first(); thread != nullptr && done;
         thread = thread->next)
        done = dump_thread(fd, *thread);
    return done;
}

}  // namespace asyncjob
