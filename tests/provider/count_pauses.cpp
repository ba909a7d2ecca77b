// SPDX-License-Identifier: Apache-2.0
// An auditor of the dynamic loader, for LD_AUDIT: it counts the calls of ASYNC_pause_job(), from
// all processes of a server, in a file that they map: a 64-bit number. COUNT_PAUSES_FILE is its
// path. It counts whichever library's function the program got, and wherever that library
// stands in LD_PRELOAD, which is left to `asyncjob run`.
//
// Servers clear or keep their environment as they like, so the path is read at load.
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

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

// All references in a process lead to one definition.
std::atomic<int (*)()> pause_job;

int counted_pause_job() {
    if (count != nullptr)
        ++*count;
    return pause_job.load()();
}

}  // namespace

extern "C" {

unsigned la_version(unsigned /*newest*/) {
    return LAV_CURRENT;
}

unsigned la_objopen(link_map* /*object*/, Lmid_t /*list*/, std::uintptr_t* /*cookie*/) {
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

// Where a reference is to lead.
std::uintptr_t la_symbind64(Elf64_Sym* symbol, unsigned /*index*/, std::uintptr_t* /*from*/,
                            std::uintptr_t* /*to*/, unsigned* /*flags*/, const char* name) {
    if (std::strcmp(name, "ASYNC_pause_job") != 0)
        return symbol->st_value;
    pause_job = reinterpret_cast<int (*)()>(symbol->st_value);
    return reinterpret_cast<std::uintptr_t>(counted_pause_job);
}
}
