// SPDX-License-Identifier: Apache-2.0
// Private files. Contract: private_file.hpp.
//
// The parent may be a folder that everyone writes to, so nothing is followed and nothing is
// trusted by its name: the folder is opened once, checked, and all else is done relative to
// its descriptor.
#include "private_file.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "errors.hpp"
#include "failure.hpp"

namespace asyncjob::cli {

namespace fs = std::filesystem;

namespace {

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0)
            close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }
    bool valid() const { return fd_ >= 0; }

  private:
    int fd_;
};

[[noreturn]] void refuse(int status, const fs::path& path, const std::string& why) {
    throw Failure(status, path.string() + " cannot hold the configuration: " + why +
                              "; remove it, or set XDG_RUNTIME_DIR or TMPDIR to a folder of yours");
}

fs::path folder_path() {
    // A relative one is invalid by the XDG rules, and would move with the program.
    for (const char* variable : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
        const char* const value = std::getenv(variable);
        if (value != nullptr && value[0] == '/')
            return fs::path(value) / ("asyncjob-" + std::to_string(geteuid()));
    }
    return "/tmp/asyncjob-" + std::to_string(geteuid());
}

// Nobody else can move our folder away or put another in its place.
void check_parent(const fs::path& parent, int status) {
    struct stat about {};
    if (stat(parent.c_str(), &about) != 0)
        refuse(status, parent, std::strerror(errno));
    if (about.st_uid != 0 && about.st_uid != geteuid())
        refuse(status, parent, "it is another user's");
    if ((about.st_mode & S_IWOTH) != 0 && (about.st_mode & S_ISVTX) == 0)
        refuse(status, parent, "everyone may rename what is in it (it has no sticky bit)");
}

int open_folder(const fs::path& path, int status) {
    check_parent(path.parent_path(), status);
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        refuse(status, path, std::strerror(errno));
    const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        refuse(status, path,
               errno == ELOOP || errno == ENOTDIR ? "it is a link or a file, not a folder"
                                                  : std::strerror(errno));
    struct stat about {};
    const bool ours = fstat(folder, &about) == 0 && about.st_uid == geteuid();
    if (!ours || (about.st_mode & 077) != 0) {
        close(folder);
        refuse(status, path, ours ? "others have access to it" : "it is another user's");
    }
    return folder;
}

std::string name_of(const std::string& contents, int status) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    std::size_t size = 0;
    if (EVP_Q_digest(nullptr, "SHA256", nullptr, contents.data(), contents.size(), digest, &size) !=
        1)
        throw Failure(status, "SHA-256 is not to be had: " + take_errors());
    std::string name;
    for (std::size_t at = 0; at < 16; ++at) {
        char digits[3];
        std::snprintf(digits, sizeof(digits), "%02x", digest[at]);
        name += digits;
    }
    return name;
}

// Whether the file is there, complete and untouched.
bool holds(int folder, const std::string& name, const std::string& contents) {
    const Descriptor file(
        openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat about {};
    if (!file.valid() || fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode) ||
        about.st_uid != geteuid() || (about.st_mode & 07777) != 0600 ||
        static_cast<std::size_t>(about.st_size) != contents.size())
        return false;
    std::string found(contents.size(), '\0');
    if (read(file.get(), found.data(), found.size()) != static_cast<ssize_t>(found.size()) ||
        found != contents)
        return false;
    // In use again: cleaners of temporary folders go by age.
    (void)futimens(file.get(), nullptr);
    return true;
}

bool write_all(int fd, std::string_view rest) {
    while (!rest.empty()) {
        const ssize_t written = write(fd, rest.data(), rest.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

// Under another name first, so that nobody sees half of it.
bool put(int folder, const std::string& name, const std::string& contents) {
    const std::string draft = name + "." + std::to_string(getpid());
    (void)unlinkat(folder, draft.c_str(), 0);
    const Descriptor file(
        openat(folder, draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid())
        return false;
    if (fchmod(file.get(), 0600) == 0 && write_all(file.get(), contents) &&
        renameat(folder, draft.c_str(), folder, name.c_str()) == 0)
        return true;
    const int why = errno;
    (void)unlinkat(folder, draft.c_str(), 0);
    errno = why;
    return false;
}

}  // namespace

fs::path keep_private_file(const std::string& contents, const std::string& suffix, int status) {
    const fs::path path = folder_path();
    const std::string name = name_of(contents, status) + suffix;
    const Descriptor folder(open_folder(path, status));
    if (!holds(folder.get(), name, contents) && !put(folder.get(), name, contents))
        refuse(status, path / name, std::strerror(errno));
    return path / name;
}

}  // namespace asyncjob::cli
