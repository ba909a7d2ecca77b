// SPDX-License-Identifier: Apache-2.0
// Finding and inspecting programs. Contract: program.hpp.
#include "program.hpp"

#include <elf.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "failure.hpp"

namespace asyncjob::cli {

namespace fs = std::filesystem;

namespace {

constexpr int most_interpreters = 4;  // as the kernel follows scripts of scripts

// Why the file cannot be executed, or nothing.
std::string why_not_executable(const std::string& file) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0)
        return std::strerror(errno);
    if (S_ISDIR(status.st_mode))
        return "it is a folder";
    if (access(file.c_str(), X_OK) != 0)
        return errno == EACCES ? "permission denied; is it missing chmod +x?"
                               : std::strerror(errno);
    return {};
}

bool exists(const std::string& file) {
    struct stat status {};
    return stat(file.c_str(), &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

struct Elf {
    unsigned char elf_class = ELFCLASSNONE;
    ElfW(Half) machine = 0;
    std::string loader;  // PT_INTERP; empty: statically linked
};

// Nothing if the file is not ELF. One of another class keeps an empty loader: its header is
// laid out in another way, and it is of no use in any case.
std::optional<Elf> read_elf(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    ElfW(Ehdr) header{};
    in.read(reinterpret_cast<char*>(&header), sizeof(header));
    if (in.gcount() < EI_NIDENT || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return std::nullopt;
    Elf elf{header.e_ident[EI_CLASS], header.e_machine, {}};
    if (elf.elf_class != (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32) || !in)
        return elf;
    for (unsigned at = 0; at < header.e_phnum; ++at) {
        ElfW(Phdr) segment{};
        in.seekg(static_cast<std::streamoff>(header.e_phoff + at * header.e_phentsize));
        in.read(reinterpret_cast<char*>(&segment), sizeof(segment));
        if (!in)
            break;
        if (segment.p_type == PT_INTERP && segment.p_filesz < 4096) {
            elf.loader.resize(segment.p_filesz);
            in.seekg(static_cast<std::streamoff>(segment.p_offset));
            in.read(elf.loader.data(), static_cast<std::streamsize>(elf.loader.size()));
            elf.loader.resize(std::strlen(elf.loader.c_str()));
            break;
        }
    }
    return elf;
}

// The interpreter in a script's first line, or nothing.
std::string interpreter_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::string line;
    if (in.get() != '#' || in.get() != '!' || !std::getline(in, line))
        return {};
    std::string interpreter;
    std::istringstream(line) >> interpreter;
    return interpreter;
}

// Whether the kernel starts the file with rights of its own, for which the loader takes
// nothing from the environment.
std::string raised_rights(const fs::path& file) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0)
        return {};
    if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid())
        return "setuid";
    if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 &&
        status.st_gid != getgid())
        return "setgid";
    if (getuid() != 0 && getxattr(file.c_str(), "security.capability", nullptr, 0) > 0)
        return "marked with file capabilities";
    return {};
}

std::string obstacle_of(const fs::path& image, const Elf& elf, const Elf& self) {
    const std::string name = "'" + image.string() + "'";
    if (elf.elf_class != self.elf_class || elf.machine != self.machine)
        return name +
               " is built for another CPU or word size than libasyncjob.so, so the loader "
               "would refuse to preload it; use an asyncjob of the same kind";
    if (elf.loader.empty())
        return name +
               " is statically linked, so nothing can be preloaded; link it with "
               "libasyncjob.a, or use a dynamically linked build";
    if (const std::string rights = raised_rights(image); !rights.empty())
        return name + " is " + rights +
               ", so the loader ignores LD_PRELOAD and OpenSSL ignores "
               "OPENSSL_CONF; run it as the user it changes to, or link it with libasyncjob";
    return {};
}

}  // namespace

fs::path find_program(const std::string& name) {
    if (name.empty())
        throw Failure(status_not_found, "the program's name is empty");
    if (name.find('/') != std::string::npos) {
        if (!exists(name))
            throw Failure(status_not_found, "'" + name + "': there is no such file");
        if (const std::string why = why_not_executable(name); !why.empty())
            throw Failure(status_not_executable, "'" + name + "' cannot be executed: " + why);
        return name;
    }
    const char* const path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
    std::string found;
    std::string found_why;
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
        // Folders that may not be looked into are passed over, as shells do.
        if (struct stat about{}; stat(candidate.c_str(), &about) != 0)
            continue;
        const std::string why = why_not_executable(candidate);
        if (why.empty())
            return candidate;
        if (found.empty()) {
            found = candidate;
            found_why = why;
        }
    }
    if (!found.empty())
        throw Failure(status_not_executable, "'" + found + "' cannot be executed: " + found_why);
    throw Failure(status_not_found, "'" + name + "' is not in PATH; give its path");
}

std::string own_loader() {
    const std::optional<Elf> self = read_elf("/proc/self/exe");
    return self ? self->loader : std::string{};
}

ProgramFacts inspect_program(const fs::path& file) {
    ProgramFacts facts{file, file, {}, {}};
    const Elf self = read_elf("/proc/self/exe").value_or(Elf{});
    for (int depth = 0; depth <= most_interpreters; ++depth) {
        if (const std::optional<Elf> elf = read_elf(facts.image)) {
            facts.loader = elf->loader;
            facts.obstacle = obstacle_of(facts.image, *elf, self);
            return facts;
        }
        // What may be executed but not read is the kernel's to judge.
        if (access(facts.image.c_str(), R_OK) != 0 && exists(facts.image))
            return facts;
        const std::string interpreter = interpreter_of(facts.image);
        if (interpreter.empty())
            throw Failure(status_not_executable, "'" + facts.image.string() +
                                                     "' is neither an ELF program nor a script "
                                                     "with a #! line");
        if (!exists(interpreter))
            throw Failure(status_not_executable, "'" + facts.image.string() +
                                                     "' is a script for '" + interpreter +
                                                     "', which does not exist");
        facts.image = interpreter;
    }
    throw Failure(status_not_executable, "'" + file.string() + "' is a script of too many scripts");
}

}  // namespace asyncjob::cli
