// SPDX-License-Identifier: Apache-2.0
// Lookups. Contract: loader.hpp.
#include "os/loader.hpp"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>
#include <cstring>

namespace asyncjob::os {

namespace {

std::atomic<int> under_way = 0;
std::atomic<bool> impossible = false;

// Around each lookup.
class Lookup {
  public:
    Lookup() { under_way.fetch_add(1); }
    ~Lookup() { under_way.fetch_sub(1); }
    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;

    explicit operator bool() const { return !impossible.load(); }
};

// The forking thread is in no lookup, so any that is under way was another thread's.
void in_child() {
    if (under_way.exchange(0) != 0)
        impossible.store(true);
}

__attribute__((constructor)) void follow_forks() {
    (void)pthread_atfork(nullptr, nullptr, in_child);
}

struct Search {
    const char* prefix;
    char found[PATH_MAX];
};

int compare_name(dl_phdr_info* info, std::size_t /*size*/, void* data) {
    auto& search = *static_cast<Search*>(data);
    const char* const slash = std::strrchr(info->dlpi_name, '/');
    const char* const file = slash != nullptr ? slash + 1 : info->dlpi_name;
    const std::size_t size_with_end = std::strlen(info->dlpi_name) + 1;
    if (std::strncmp(file, search.prefix, std::strlen(search.prefix)) != 0 ||
        size_with_end > sizeof(search.found))
        return 0;
    std::memcpy(search.found, info->dlpi_name, size_with_end);
    return 1;
}

// Of the library or program that has the address; NULL if none has.
const void* base_of(const void* address) {
    Dl_info info;
    return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

#ifdef __GLIBC__
// What an entry of a library's dynamic section points to; 0 without such an entry.
ElfW(Addr) dynamic_address(const link_map& map, decltype(ElfW(Dyn)::d_tag) tag) {
    for (const ElfW(Dyn)* entry = map.l_ld; entry->d_tag != DT_NULL; ++entry) {
        // Some processors' loaders leave them relative.
        if (entry->d_tag == tag)
            return entry->d_un.d_ptr < map.l_addr ? entry->d_un.d_ptr + map.l_addr
                                                  : entry->d_un.d_ptr;
    }
    return 0;
}

// Whether the library that defines the symbol at the address gives it a version.
bool has_version(const void* address) {
    Dl_info info;
    link_map* map = nullptr;
    const ElfW(Sym)* symbol = nullptr;
    if (dladdr1(address, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 ||
        dladdr1(address, &info, reinterpret_cast<void**>(const_cast<ElfW(Sym)**>(&symbol)),
                RTLD_DL_SYMENT) == 0 ||
        symbol == nullptr)
        return false;
    const ElfW(Addr) symbols = dynamic_address(*map, DT_SYMTAB);
    const ElfW(Addr) versions = dynamic_address(*map, DT_VERSYM);
    if (symbols == 0 || versions == 0)
        return false;
    const auto index = symbol - reinterpret_cast<const ElfW(Sym)*>(symbols);
    constexpr ElfW(Half) is_hidden = 0x8000;
    return (reinterpret_cast<const ElfW(Half)*>(versions)[index] & ~is_hidden) > VER_NDX_GLOBAL;
}

void* look_up(void* library, const char* name, const char* version) {
    void* const found = dlsym(library, name);
    // dlvsym() is stricter than a reference.
    return version != nullptr && found != nullptr && has_version(found)
               ? dlvsym(library, name, version)
               : found;
}
#else  // no versions
void* look_up(void* library, const char* name, const char* /*version*/) {
    return dlsym(library, name);
}
#endif

}  // namespace

unsigned long long libraries_loaded() noexcept {
    unsigned long long count = 0;
    if (const Lookup lookup; lookup) {
        dl_iterate_phdr(
            [](dl_phdr_info* info, std::size_t /*size*/, void* data) {
                *static_cast<unsigned long long*>(data) = info->dlpi_adds;
                return 1;
            },
            &count);
    }
    return count;
}

void* loaded_library(const char* name) noexcept {
    const Lookup lookup;
    if (!lookup)
        return nullptr;
    return name == nullptr ? dlopen(nullptr, RTLD_LAZY)
                           : dlopen(name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

void* loaded_library_like(const char* prefix) noexcept {
    Search search{prefix, ""};
    {
        const Lookup lookup;
        if (!lookup || dl_iterate_phdr(compare_name, &search) == 0)
            return nullptr;
    }
    return loaded_library(search.found);
}

void* find_symbol(void* library, const char* name, const char* version) noexcept {
    const Lookup lookup;
    return lookup ? look_up(library, name, version) : nullptr;
}

void* find_next_symbol(const char* name, const char* version) noexcept {
    const Lookup lookup;
    return lookup ? look_up(RTLD_NEXT, name, version) : nullptr;
}

void* find_symbol_from(const void* address, const char* name, const char* version) noexcept {
    const Lookup lookup;
    Dl_info info;
    if (!lookup || dladdr(address, &info) == 0)
        return nullptr;
    void* const library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr)
        return nullptr;  // the program itself, whose scope is the global one
    void* const found = look_up(library, name, version);
    dlclose(library);
    return found;
}

bool are_in_two_libraries(const void* one, const void* other) noexcept {
    const Lookup lookup;
    if (!lookup)
        return false;
    const void* const program = base_of(reinterpret_cast<const void*>(getauxval(AT_PHDR)));
    const void* const ones = base_of(one);
    const void* const others = base_of(other);
    const auto is_library = [program](const void* base) {
        return base != nullptr && base != program;
    };
    return is_library(ones) && is_library(others) && ones != others;
}

Symbol symbol_at(const void* address) noexcept {
    const Lookup lookup;
    Dl_info info;
    if (!lookup || dladdr(address, &info) == 0 || info.dli_fname == nullptr)
        return {nullptr, 0};
    const auto* const at = static_cast<const std::byte*>(address);
    if (info.dli_sname != nullptr)
        return {info.dli_sname,
                static_cast<std::size_t>(at - static_cast<std::byte*>(info.dli_saddr))};
    return {info.dli_fname, static_cast<std::size_t>(at - static_cast<std::byte*>(info.dli_fbase))};
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE  // _dl_find_object() is declared

namespace {

// By name, so that the library can be loaded where libc is older. It takes no lock.
std::atomic<decltype(&_dl_find_object)> find_object = nullptr;

// How many dynamic symbols there are is not told, but the hash table has those that are defined.
std::uint32_t count_symbols(const std::uint32_t* hash) {
    const std::uint32_t bucket_count = hash[0];
    const std::uint32_t first = hash[1];
    const std::uint32_t bloom_words = hash[2] * (sizeof(ElfW(Addr)) / sizeof(std::uint32_t));
    const std::uint32_t* const buckets = hash + 4 + bloom_words;
    const std::uint32_t* const chains = buckets + bucket_count;
    std::uint32_t last = 0;
    for (std::uint32_t at = 0; at < bucket_count; ++at)
        last = std::max(last, buckets[at]);
    if (last < first)
        return 0;
    while ((chains[last - first] & 1U) == 0)
        ++last;
    return last + 1;
}

Symbol exported_function_at(const link_map& map, ElfW(Addr) address) {
    const auto* const symbols = reinterpret_cast<const ElfW(Sym)*>(dynamic_address(map, DT_SYMTAB));
    const auto* const names = reinterpret_cast<const char*>(dynamic_address(map, DT_STRTAB));
    const auto* const hash =
        reinterpret_cast<const std::uint32_t*>(dynamic_address(map, DT_GNU_HASH));
    if (symbols == nullptr || names == nullptr || hash == nullptr)
        return {nullptr, 0};
    const ElfW(Addr) value = address - map.l_addr;
    const std::uint32_t count = count_symbols(hash);
    for (std::uint32_t at = 0; at < count; ++at) {
        const ElfW(Sym)& symbol = symbols[at];
        if ((symbol.st_info & 0xfU) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
            value - symbol.st_value < symbol.st_size)
            return {names + symbol.st_name, value - symbol.st_value};
    }
    return {nullptr, 0};
}

}  // namespace

void prepare_symbols_in_handlers() noexcept {
    if (find_object.load() == nullptr)
        find_object.store(
            reinterpret_cast<decltype(&_dl_find_object)>(find_symbol(nullptr, "_dl_find_object")));
}

Symbol symbol_in_handler(const void* address) noexcept {
    auto* const find = find_object.load();
    dl_find_object object{};
    if (find == nullptr || find(const_cast<void*>(address), &object) != 0)
        return {nullptr, 0};
    const link_map& map = *object.dlfo_link_map;
    const auto at = reinterpret_cast<ElfW(Addr)>(address);
    const Symbol exported = exported_function_at(map, at);
    if (exported.name != nullptr)
        return exported;
    // The loader does not have the program's name.
    const char* const file =
        map.l_name[0] != '\0' ? map.l_name : reinterpret_cast<const char*>(getauxval(AT_EXECFN));
    return {file, at - map.l_addr};
}

#else

void prepare_symbols_in_handlers() noexcept {}

Symbol symbol_in_handler(const void* /*address*/) noexcept {
    return {nullptr, 0};
}

#endif

void keep_loaded(const void* address) noexcept {
    const Lookup lookup;
    Dl_info info;
    if (lookup && dladdr(address, &info) != 0)
        (void)dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace asyncjob::os
