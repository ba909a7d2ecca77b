/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded, it makes the kernel one with pages of 64 KiB, as ppc64le and aarch64 may have: sizes
 * are rounded up to such pages, addresses within one are refused, and markers for guards with them.
 *
 * Next layer down: the kernel.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE ((size_t)64 * 1024)

static size_t whole_pages(size_t size) {
    return (size + PAGE - 1) / PAGE * PAGE;
}

static int is_whole(const void* address) {
    return (uintptr_t)address % PAGE == 0;
}

/* As the kernel answers. */
static int refuse(void) {
    errno = EINVAL;
    return -1;
}

long syscall(long number, ...) {
    static long (*next)(long, ...);
    if (next == NULL)
        *(void**)&next = dlsym(RTLD_NEXT, "syscall");
    if (number == SYS_process_madvise) {
        errno = ENOSYS; /* which callers have to live with */
        return -1;
    }
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; ++i)
        arguments[i] = va_arg(list, long);
    va_end(list);
    return next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                arguments[5]);
}

long sysconf(int name) {
    static long (*next)(int);
    if (next == NULL)
        *(void**)&next = dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_PAGESIZE ? (long)PAGE : next(name);
}

/* Files, and what is to be at an address, are the loader's. */
void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset) {
    const size_t whole = whole_pages(size);
    if (address != NULL || (flags & MAP_ANONYMOUS) == 0)
        return (void*)syscall(SYS_mmap, address, size, protection, flags, file, offset);
    const long found = syscall(SYS_mmap, address, whole + PAGE, protection, flags, file, offset);
    if (found == -1)
        return MAP_FAILED;
    const size_t begin = whole_pages((size_t)found);
    const size_t before = begin - (size_t)found;
    if (before > 0)
        (void)syscall(SYS_munmap, found, before);
    (void)syscall(SYS_munmap, begin + whole, PAGE - before);
    return (void*)begin;
}

int munmap(void* address, size_t size) {
    return (int)syscall(SYS_munmap, address, is_whole(address) ? whole_pages(size) : size);
}

int mprotect(void* address, size_t size, int protection) {
    return is_whole(address) ? (int)syscall(SYS_mprotect, address, whole_pages(size), protection)
                             : refuse();
}

int madvise(void* address, size_t size, int advice) {
    const int guard_install = 102;
    if (!is_whole(address) || advice == guard_install)
        return refuse();
    return (int)syscall(SYS_madvise, address, whole_pages(size), advice);
}
