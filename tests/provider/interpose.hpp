// SPDX-License-Identifier: Apache-2.0
// Functions that this program puts in front of the libraries': they go on to the next one,
// unless a test tells them otherwise.
#pragma once

#include <atomic>

namespace interpose {

inline std::atomic<int> pauses{0};          // calls of ASYNC_pause_job()
inline std::atomic<int> cancel_pauses{0};   // that many return 0 and do not pause
inline void (*before_cancel)() = nullptr;   // called before they do
inline std::atomic<bool> no_thread{false};  // pthread_create() fails
inline std::atomic<int> threads{0};         // that pthread_create() has made

}  // namespace interpose
