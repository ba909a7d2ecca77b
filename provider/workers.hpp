// SPDX-License-Identifier: Apache-2.0
// The process's worker threads, which compute while jobs are paused.
//
// They start at the first piece of work, never at load: a server that forks after it has
// loaded its configuration would have threads in the parent alone. A process that was forked
// from one with workers starts its own. At OPENSSL_cleanup() they finish what they have begun
// and are joined.
//
// Threads: any. Next layer down: Asio.
#pragma once

#include <functional>

namespace offload::workers {

// How many threads to start, before the first piece of work, and whether some of it computes on
// them: if not, they wait for a device, and are to go on as soon as it answers. Later calls raise
// the number, for processes that have none yet.
void prepare(unsigned count, bool computing);

// Hands a piece of work to a worker. False if there is none and none can be had.
[[nodiscard]] bool post(std::function<void()> work);

// Waits until all work that was posted is done and its threads have ended; later work starts
// new ones. Before a library context is freed that they may have used: libcrypto keeps state
// of each thread in it.
void finish();

// How many forks lie between the process that loaded the provider and this one: work that
// was posted under another number was left to threads that this process does not have.
[[nodiscard]] unsigned generation();

}  // namespace offload::workers
