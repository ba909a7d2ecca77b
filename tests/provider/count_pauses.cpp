// SPDX-License-Identifier: Apache-2.0
// A library to preload into a server: it counts the calls of ASYNC_pause_job(), from all its
// processes, in a file that they map: a 64-bit number. COUNT_PAUSES_FILE is its path.
//
// Servers clear or keep their environment as they like, so the path is read at load.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

using Count = std::atomic<std::uint64_t>;

Count* map_count() {
    const char* const path = std::getenv("COUNT_PAUSES_FILE");
    const int file = path != nullptr ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (file < 0 || ftruncate(file, sizeof(Count)) != 0)
        return nullptr;
    void* const mapping = mmap(nullptr, sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return mapping != MAP_FAILED ? static_cast<Count*>(mapping) : nullptr;
}

Count* const count = map_count();

}  // namespace

extern "C" int ASYNC_pause_job() {
    static auto* const next = reinterpret_cast<int (*)()>(dlsym(RTLD_NEXT, "ASYNC_pause_job"));
    if (count != nullptr)
        ++*count;
    return next();
}
