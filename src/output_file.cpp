// SPDX-License-Identifier: Apache-2.0
// Files that variables name. Contract: output_file.hpp.
#include "output_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "os/program.hpp"

namespace asyncjob {

void copy_plain(char* to, std::size_t room, const char* from) noexcept {
    std::size_t used = 0;
    for (; *from != '\0' && used < room - 1; ++from) {
        const bool is_plain = *from >= ' ' && *from <= '~' && *from != '"' && *from != '\\';
        to[used++] = is_plain ? *from : '?';
    }
    to[used] = '\0';
}

void OutputFile::complain(const char* what, const char* why) const noexcept {
    std::fprintf(stderr, "asyncjob: %s: %s: %s\n", variable_, what, why);
}

void OutputFile::read_variable() noexcept {
    const char* const file = os::trusted_variable(variable_);
    if (file == nullptr || file[0] == '\0')
        return;
    std::size_t used = 0;
    if (file[0] != '/') {
        if (getcwd(pattern_, sizeof pattern_ - 1) == nullptr) {
            complain("the current folder", std::strerror(errno));
            pattern_[0] = '\0';
            return;
        }
        used = std::strlen(pattern_);
        pattern_[used++] = '/';
    }
    const std::size_t length = std::strlen(file);
    if (length >= sizeof pattern_ - used) {
        complain(file, std::strerror(ENAMETOOLONG));
        pattern_[0] = '\0';
        return;
    }
    std::memcpy(pattern_ + used, file, length + 1);
    copy_plain(program_, sizeof program_, os::program_name());
}

// False: too long.
bool OutputFile::expand(bool gets_own) noexcept {
    char own[24];
    std::snprintf(own, sizeof own, "%ld", static_cast<long>(getpid()));
    std::size_t used = 0;
    const auto add = [&](const char* text, std::size_t size) {
        if (used + size >= sizeof path_)
            return false;
        std::memcpy(path_ + used, text, size);
        used += size;
        path_[used] = '\0';
        return true;
    };
    bool has_number = !gets_own;
    for (const char* from = pattern_; *from != '\0';) {
        const bool is_number = from[0] == '%' && from[1] == 'p';
        if (!(is_number ? add(own, std::strlen(own)) : add(from, 1)))
            return false;
        has_number = has_number || is_number;
        from += is_number ? 2 : 1;
    }
    return has_number || (add(".", 1) && add(own, std::strlen(own)));
}

bool OutputFile::find_path(bool gets_own) noexcept {
    if (expand(gets_own))
        return true;
    complain(std::strerror(ENAMETOOLONG));
    return false;
}

}  // namespace asyncjob
