// SPDX-License-Identifier: Apache-2.0
// The report of an overflow. Contract: overflow.hpp; what is said: asyncjob/control.h.
#include "overflow.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "arch/fault_place.hpp"
#include "job.hpp"
#include "line.hpp"
#include "os/fork_lock.hpp"
#include "os/keep_errno.hpp"
#include "os/loader.hpp"
#include "os/memory.hpp"
#include "os/program.hpp"
#include "os/signal_stack.hpp"
#include "os/thread.hpp"
#include "stack.hpp"

namespace asyncjob {

namespace {

constexpr const char* variable = "ASYNCJOB_OVERFLOW_REPORT";

std::atomic<bool> wanted = false;

os::ForkLock install_lock;
bool installed = false;

// Whom the signal was for before. Set when the handler is installed, and not changed again.
struct sigaction previous {};

// Of a thread that is watched.
struct Watched {
    const ThreadEntry* thread;  // NULL: it is not
    std::byte* signal_stack;    // that it was given; NULL: it had one of its own
};
constinit thread_local Watched watched{};

// The variable is read when the library is loaded, as programs overwrite their environment. The
// handler is installed at the first use of jobs: behind what the program has installed when it
// began, and not in a process that has no jobs.
__attribute__((constructor)) void start() {
    os::follow_forks<install_lock>();
    const char* const value = os::trusted_variable(variable);
    if (value == nullptr || value[0] == '\0' || std::strcmp(value, "0") == 0)
        return;
    if (std::strcmp(value, "1") == 0) {
        wanted.store(true, std::memory_order_relaxed);
        return;
    }
    Line line;
    line.text("asyncjob: ")
        .text(variable)
        .text(": overflows of jobs are not reported, as this is ");
    (void)line.text("neither 1 nor 0: ").text(value).write_last_words(STDERR_FILENO);
}

// Of a job that a guard belongs to.
struct Guarded {
    const ASYNC_JOB* job;
    const std::byte* low;    // of its stack; the guard is below
    std::size_t stack_size;  // that the job may use
    bool is_users;           // made by ASYNC_set_mem_functions()'s function
};

// In a slab, whoever's it is.
bool find_in_slabs(const void* address, Guarded& guarded) {
    GuardedStack stack{};
    if (!find_by_guard(address, stack))
        return false;
    const Job* const header = Job::place_below(stack.high);
    alignas(Job) std::byte image[sizeof(Job)];
    if (!os::copy_memory(image, header, sizeof image))
        return false;
    const Job& copy = *reinterpret_cast<const Job*>(image);
    const ASYNC_JOB* const name = copy.name_at(header);
    if (copy.made == 0 || Job::of(const_cast<ASYNC_JOB*>(name)) != header)
        return false;
    guarded = {name, stack.low, stack.usable, false};
    return true;
}

// Of the jobs that run on this thread. Where a user's function has made the stack there may be a
// guard or not, but the fault says that there is something.
bool find_among_running(const void* address, Guarded& guarded) {
    if (watched.thread == nullptr)
        return false;
    for (ASYNC_JOB* name = *watched.thread->current; name != nullptr; name = Job::of(name)->outer) {
        const Stack& stack = Job::of(name)->rest.stack;
        const std::uintptr_t above =
            reinterpret_cast<std::uintptr_t>(stack.low) - reinterpret_cast<std::uintptr_t>(address);
        if (stack.slab != nullptr || above == 0 || above > guard_size())
            continue;
        guarded = {name, stack.low, static_cast<std::size_t>(stack.high - stack.low), true};
        return true;
    }
    return false;
}

// Whether the code that faulted runs on the guarded stack and has come to its end. A frame that is
// larger than the guard has its stack pointer below.
bool has_overflowed(const Guarded& guarded, const void* address, std::uintptr_t stack_pointer) {
    const auto low = reinterpret_cast<std::uintptr_t>(guarded.low);
    if (stack_pointer >= low + arch::below_stack_pointer) {
        const bool is_on_stack = stack_pointer - low < guarded.stack_size;
        return is_on_stack &&
               low - reinterpret_cast<std::uintptr_t>(address) <= arch::touched_ahead;
    }
    return stack_pointer >= low - guard_size() ||
           (watched.thread != nullptr && *watched.thread->current == guarded.job);
}

// What both reports end with.
bool write_place(Line& line, const void* address, const arch::FaultPlace& place) {
    line.text(" thread=").signed_number(os::thread_id()).text(" address=").address(address);
    const auto* const instruction = reinterpret_cast<const void*>(place.instruction);
    line.text(" at=").address(instruction).text(" symbol=");
    const os::Symbol symbol = os::symbol_in_handler(instruction);
    if (symbol.name == nullptr)
        line.text("-");
    else
        line.text(symbol.name).text("+0x").number(symbol.offset, 16);
    return line.write_last_words(STDERR_FILENO);
}

void report_overflow(const Guarded& guarded, const void* address, const arch::FaultPlace& place) {
    Line what;
    what.text("asyncjob: stack overflow: job=").address(guarded.job);
    what.text(" stack=").number(guarded.stack_size);
    if (guarded.is_users)
        what.text(" guard=-");
    else
        what.text(" guard=").number(guard_size());
    if (!write_place(what, address, place))
        return;
    Line advice;
    advice.text("asyncjob: to enlarge the stacks of a thread's jobs: ");
    if (guarded.is_users)
        advice.text(
            "the function that ASYNC_set_mem_functions() was given makes them, and its size "
            "counts");
    else
        advice.text(
            "stack_size in asyncjob_thread_options, by asyncjob_init_thread() on the thread, "
            "before its first job");
    advice.text("; see asyncjob_install_overflow_handler(3)");
    (void)advice.write_last_words(STDERR_FILENO);
}

void report_stray(const Guarded& guarded, const void* address, const arch::FaultPlace& place) {
    Line what;
    what.text("asyncjob: no overflow, but a stray access: to the guard of job=")
        .address(guarded.job);
    what.text(", by code that is not at the end of its stack:");
    (void)write_place(what, address, place);
}

// Not what kill() and the like send, which have no address.
bool is_fault(const siginfo_t& info) {
    return info.si_code == SEGV_MAPERR || info.si_code == SEGV_ACCERR;
}

// From the kernel, because of what the interrupted instruction does, and would do again.
bool comes_again(const siginfo_t& info) {
    return is_fault(info) || info.si_code == SI_KERNEL;
}

// What is called here leaves errno as it is.
void report(const void* address, const void* context) {
    Guarded guarded{};
    if (!find_in_slabs(address, guarded) && !find_among_running(address, guarded))
        return;
    const arch::FaultPlace place = arch::fault_place(context);
    if (has_overflowed(guarded, address, place.stack_pointer))
        report_overflow(guarded, address, place);
    else
        report_stray(guarded, address, place);
}

// The kernel looks at the handler first: one that was reset (SA_RESETHAND) still has its flags.
bool had_handler() {
    return previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN;
}

// What would have come of the signal without this handler. Its mask and flags are those that the
// handler was installed with.
void pass_on(int signal, siginfo_t* info, void* context) {
    if (had_handler()) {
        if ((previous.sa_flags & SA_SIGINFO) != 0)
            previous.sa_sigaction(signal, info, context);
        else
            previous.sa_handler(signal);
        return;
    }
    // A fault that is none of memory that is missing or guarded (of protection keys, tags, shadow
    // stacks) is sent again below, unless the signal is ignored: the kernel does not ignore it if
    // it comes again, and we must not.
    const bool is_other_fault = previous.sa_handler == SIG_IGN && info->si_code > 0;
    if (comes_again(*info) || is_other_fault) {
        // The instruction faults again, and the kernel does the rest, whether the signal is
        // ignored or not: the core file has the same registers as without this handler.
        (void)sigaction(signal, &previous, nullptr);
    } else if (previous.sa_handler == SIG_DFL) {
        (void)sigaction(signal, &previous, nullptr);
        (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), os::thread_id(), signal, info);
    }
}

void on_fault(int signal, siginfo_t* info, void* context) {
    if (is_fault(*info))
        report(info->si_addr, context);
    pass_on(signal, info, context);
}

bool install() {
    if (sigaction(SIGSEGV, nullptr, &previous) != 0)
        return false;
    struct sigaction ours {};
    if (had_handler()) {
        ours.sa_mask = previous.sa_mask;
        constexpr auto passed_on = static_cast<int>(SA_NODEFER | SA_RESETHAND | SA_RESTART);
        ours.sa_flags = previous.sa_flags & passed_on;
    } else if (previous.sa_handler == SIG_IGN) {
        ours.sa_flags = SA_RESTART;  // what is ignored interrupts no system call
    }
    ours.sa_flags |= SA_SIGINFO | SA_ONSTACK;
    ours.sa_sigaction = on_fault;
    return sigaction(SIGSEGV, &ours, nullptr) == 0;
}

}  // namespace

Reason install_overflow_handler() noexcept {
    const os::KeepErrno keep;
    // Without the lock: these wait for the loader, whose lock somebody may have who gets here.
    os::prepare_symbols_in_handlers();
    os::keep_loaded(reinterpret_cast<const void*>(on_fault));  // in a plugin, say
    const os::ForkLock::Guard guard(install_lock);
    if (installed)
        return Reason::none;
    if (!install())
        return Reason::init_failed;
    installed = true;
    wanted.store(true, std::memory_order_relaxed);
    return Reason::none;
}

Reason watch_overflows(const ThreadEntry& thread) noexcept {
    if (!wanted.load(std::memory_order_relaxed))
        return Reason::none;
    if (watched.thread == nullptr) {
        const Reason reason = install_overflow_handler();
        if (reason != Reason::none)
            return reason;
    }
    // Each time: code that brings one of its own for a while may leave none.
    if (!os::have_signal_stack(watched.signal_stack))
        return Reason::no_memory;
    watched.thread = &thread;
    return Reason::none;
}

void unwatch_overflows() noexcept {
    if (watched.signal_stack != nullptr)
        os::drop_signal_stack(watched.signal_stack);
    watched = {};
}

}  // namespace asyncjob
