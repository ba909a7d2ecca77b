// SPDX-License-Identifier: Apache-2.0
// Memory on Linux and other POSIX systems. Contract: memory.hpp.
#include "os/memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace asyncjob::os {

namespace {

// Linux 6.13; older headers do not have it. EINVAL where the kernel is older or the memory
// is locked (mlockall), and the other method serves.
constexpr int madvise_guard_install = 102;

// Callers report failures in their own way; errno stays the program's.
class KeepErrno {
  public:
    KeepErrno() : saved_(errno) {}
    ~KeepErrno() { errno = saved_; }
    KeepErrno(const KeepErrno&) = delete;
    KeepErrno& operator=(const KeepErrno&) = delete;

  private:
    int saved_;
};

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

}  // namespace

std::size_t page_size() noexcept {
    return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::byte* map(std::size_t size) noexcept {
    const KeepErrno keep;
    void* const address =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED)
        return nullptr;
#ifdef MADV_NOHUGEPAGE
    // A huge page under stacks would make 2 MiB resident for each first touch. Kernels
    // without huge pages refuse, and there is nothing to prevent then.
    (void)madvise(address, size, MADV_NOHUGEPAGE);
#endif
    return static_cast<std::byte*>(address);
}

void unmap(std::byte* address, std::size_t size) noexcept {
    const KeepErrno keep;
    (void)munmap(address, size);
}

Guard guard(std::byte* address, std::size_t size) noexcept {
    const KeepErrno keep;
    if (madvise(address, size, madvise_guard_install) == 0 && markers_work(address))
        return Guard::marker;
    if (mprotect(address, size, PROT_NONE) == 0)
        return Guard::mapping;
    return Guard::refused;
}

void discard(std::byte* address, std::size_t size) noexcept {
    const KeepErrno keep;
    (void)madvise(address, size, MADV_DONTNEED);
}

}  // namespace asyncjob::os
