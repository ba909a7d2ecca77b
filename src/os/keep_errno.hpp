// SPDX-License-Identifier: Apache-2.0
// errno stays the program's, whatever system calls a function makes.
//
// Threads: any. Next layer down: libc.
#pragma once

#include <cerrno>

namespace asyncjob::os {

class KeepErrno {
  public:
    KeepErrno() : kept_(errno) {}
    ~KeepErrno() { errno = kept_; }
    KeepErrno(const KeepErrno&) = delete;
    KeepErrno& operator=(const KeepErrno&) = delete;

  private:
    int kept_;
};

}  // namespace asyncjob::os
