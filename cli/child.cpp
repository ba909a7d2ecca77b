// SPDX-License-Identifier: Apache-2.0
// Work in a process of its own. Contract: child.hpp.
#include "child.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "failure.hpp"

namespace asyncjob::cli {

namespace {

std::string read_to_end(int file) {
    std::string text;
    char buffer[65536];
    for (;;) {
        const ssize_t got = read(file, buffer, sizeof(buffer));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return text;
        text.append(buffer, static_cast<std::size_t>(got));
    }
}

}  // namespace

ChildsEnd run_in_child(const std::function<void()>& body) {
    int ends[2];
    if (pipe(ends) != 0)
        throw Failure(status_failed, std::string("pipe: ") + std::strerror(errno));
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0)
        throw Failure(status_failed, std::string("fork: ") + std::strerror(errno));
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        body();
        _exit(status_not_found);
    }
    close(ends[1]);
    ChildsEnd end{read_to_end(ends[0]), 0};
    close(ends[0]);
    while (waitpid(child, &end.status, 0) < 0 && errno == EINTR) {
    }
    return end;
}

}  // namespace asyncjob::cli
