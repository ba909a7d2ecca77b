// SPDX-License-Identifier: Apache-2.0
// Memory on Linux and other POSIX systems. Contract: memory.hpp.
#include "os/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>

#include "os/keep_errno.hpp"
#include "sanitizer.hpp"

namespace asyncjob::os {

namespace {

// Linux 6.13; older headers do not have it. EINVAL where the kernel is older or the memory
// is locked (mlockall), and the other method serves.
constexpr int madvise_guard_install = 102;

// An emulator of the system may answer yes to advice that it does not know. Asked to populate
// a guard, a kernel that has guards refuses; once for the process.
bool markers_work(std::byte* guarded) {
    constexpr int madvise_populate_read = 22;
    static std::atomic<bool> checked = false;
    if (checked.load(std::memory_order_relaxed))
        return true;
    const bool work = madvise(guarded, page_size(), madvise_populate_read) != 0 && errno == EFAULT;
    checked.store(work, std::memory_order_relaxed);
    return work;
}

void* map_at(void* address, std::size_t size, int protection, int flags) {
#ifdef MAP_NORESERVE
    flags |= MAP_NORESERVE;  // most of a stack is never touched
#endif
    return mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

// A huge page under stacks would make 2 MiB resident for each first touch. Kernels without huge
// pages refuse, and there is nothing to prevent then.
void forbid_huge_pages([[maybe_unused]] void* address, [[maybe_unused]] std::size_t size) {
#ifdef MADV_NOHUGEPAGE
    (void)madvise(address, size, MADV_NOHUGEPAGE);
#endif
}

// Advice for as many of the ranges as one system call takes (IOV_MAX at most). Returns the bytes
// it was taken for; -1 before Linux 6.15, whose name for "this process" it uses.
long advise_many(const Range* ranges, std::size_t count, int advice) {
#ifdef SYS_process_madvise
    constexpr int this_process = -10000;  // PIDFD_SELF
    static_assert(sizeof(Range) == sizeof(iovec));
    if (sanitizer::knows_old_calls_only())
        return -1;
    return syscall(SYS_process_madvise, this_process, ranges, count, advice, 0U);
#else
    (void)ranges, (void)count, (void)advice;
    return -1;
#endif
}

constexpr std::size_t most_at_once = 1024;

// Where the system call for it is refused, as some containers do. A pipe takes what is asked for
// here at once. Not libc's write(), with which a sanitizer takes the bytes for the caller's.
bool copy_through_pipe(void* to, const void* from, std::size_t size) {
    int ends[2];
    if (size > PIPE_BUF || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    const auto whole = static_cast<ssize_t>(size);
    const bool copied =
        syscall(SYS_write, ends[1], from, size) == whole && read(ends[0], to, size) == whole;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return copied;
}

// Bytes of address space that the process has; 0 if the system does not tell.
std::size_t addresses_in_use() {
    const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    char text[32];
    const ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    return std::strtoull(text, nullptr, 10) * page_size();  // its first number
}

// Tries what needs three pages of addresses and two more mappings, and no memory, as nothing can
// be written there.
bool can_split_a_mapping() {
    const std::size_t page = page_size();
    void* const pages = map_at(nullptr, 3 * page, PROT_NONE, 0);
    if (pages == MAP_FAILED)
        return errno != ENOMEM;
    const bool splits =
        mprotect(static_cast<std::byte*>(pages) + page, page, PROT_READ) == 0 || errno != ENOMEM;
    (void)munmap(pages, 3 * page);
    return splits;
}

}  // namespace

std::size_t page_size() noexcept {
    // Threads may find it out at the same time; there is no runtime that guards such a variable.
    static std::atomic<std::size_t> known = 0;
    std::size_t size = known.load(std::memory_order_relaxed);
    if (size == 0) {
        size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        known.store(size, std::memory_order_relaxed);
    }
    return size;
}

std::byte* map(std::size_t size) noexcept {
    const KeepErrno keep;
    void* const address = map_at(nullptr, size, PROT_READ | PROT_WRITE, 0);
    if (address == MAP_FAILED)
        return nullptr;
    forbid_huge_pages(address, size);
    return static_cast<std::byte*>(address);
}

void unmap(std::byte* address, std::size_t size) noexcept {
    const KeepErrno keep;
    (void)munmap(address, size);
}

bool retire(std::byte* address, std::size_t size) noexcept {
    const KeepErrno keep;
    return map_at(address, size, PROT_READ, MAP_FIXED) != MAP_FAILED;
}

bool is_mapped(std::byte* address, std::size_t size) noexcept {
    const KeepErrno keep;
    return msync(address, size, MS_ASYNC) == 0;
}

bool revive(std::byte* address, std::size_t size) noexcept {
    const KeepErrno keep;
    // Not another mapping in its place: older kernels take the old one away before they find
    // that there is no memory for the new.
    if (mprotect(address, size, PROT_READ | PROT_WRITE) != 0)
        return false;
    forbid_huge_pages(address, size);
    return true;
}

Shortage why_refused(std::size_t size) noexcept {
    const KeepErrno keep;
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        addresses_in_use() + size > limit.rlim_cur)
        return Shortage::addresses;
    return can_split_a_mapping() ? Shortage::memory : Shortage::mappings;
}

Guard guard(std::byte* address, std::size_t size) noexcept {
    const KeepErrno keep;
    if (madvise(address, size, madvise_guard_install) == 0 && markers_work(address))
        return Guard::marker;
    if (mprotect(address, size, PROT_NONE) == 0)
        return Guard::mapping;
    return Guard::refused;
}

std::size_t guard_many(const Range* ranges, std::size_t count) noexcept {
    const KeepErrno keep;
    long done = advise_many(ranges, std::min(count, most_at_once), madvise_guard_install);
    if (done <= 0 || !markers_work(ranges->address))
        return 0;
    std::size_t guarded = 0;
    while (guarded < count && done >= static_cast<long>(ranges[guarded].size))
        done -= static_cast<long>(ranges[guarded++].size);
    return guarded;
}

std::byte* lowest_resident(std::byte* low, std::byte* high) noexcept {
    const KeepErrno keep;
    const std::size_t page = page_size();
    unsigned char resident[1024];
    for (std::byte* at = low - reinterpret_cast<std::uintptr_t>(low) % page; at < high;
         at += sizeof resident * page) {
        const auto left = static_cast<std::size_t>(high - at);
        if (mincore(at, std::min(left, sizeof resident * page), resident) != 0)
            return high;
        sanitizer::was_written(resident, sizeof resident);
        const std::size_t count = std::min((left + page - 1) / page, sizeof resident);
        for (std::size_t index = 0; index < count; ++index) {
            if ((resident[index] & 1U) != 0)
                return std::max(low, at + index * page);
        }
    }
    return high;
}

bool copy_memory(void* to, const void* from, std::size_t size) noexcept {
    const KeepErrno keep;
#ifdef SYS_process_vm_readv
    const iovec here{to, size};
    const iovec there{const_cast<void*>(from), size};
    const long copied = syscall(SYS_process_vm_readv, getpid(), &here, 1UL, &there, 1UL, 0UL);
    if (copied >= 0 || errno == EFAULT) {
        sanitizer::was_written(to, size);
        return copied == static_cast<long>(size);
    }
#endif
    return copy_through_pipe(to, from, size);
}

void discard_many(const Range* ranges, std::size_t count) noexcept {
    const KeepErrno keep;
    while (count > 0) {
        const std::size_t some = std::min(count, most_at_once);
        long whole = 0;
        for (std::size_t at = 0; at < some; ++at)
            whole += static_cast<long>(ranges[at].size);
        if (advise_many(ranges, some, MADV_DONTNEED) != whole) {
            for (std::size_t at = 0; at < some; ++at)
                (void)madvise(ranges[at].address, ranges[at].size, MADV_DONTNEED);
        }
        ranges += some;
        count -= some;
    }
}

}  // namespace asyncjob::os
