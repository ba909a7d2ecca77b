// SPDX-License-Identifier: Apache-2.0
// Where libc keeps a thread's value of a key: to see without a call whether it is still the same.
//
// Owner: error_queue.cpp. Threads: any. Next layer down: libc.
#pragma once

namespace asyncjob::os {

// The address at which libc keeps `value`, which is what pthread_getspecific() returns to the
// calling thread for some key. It is good for reading as long as the thread lives, and holds what
// pthread_getspecific() would return. NULL where it cannot be found.
const void* const* place_of_specific(const void* value) noexcept;

}  // namespace asyncjob::os
