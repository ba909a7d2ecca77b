// SPDX-License-Identifier: Apache-2.0
// The file of a trace: JSON of Chrome's Trace Event Format, which Perfetto reads, too.
//
// For each thread slices, nested, of its jobs as they run; for each job an asynchronous event from
// its start to its end, with instants for what happens to it; for each wake and cancel an instant
// on the thread that did it. Where a slice or a job began is not in the ring any more, it begins
// with the first event that is; slices of jobs that run are closed at the time of writing.
//
// Owner: trace.cpp. Threads: the one that writes. Next layer down: trace_ring.hpp, os/file.hpp.
#pragma once

#include <cstdint>

namespace asyncjob {
class OutputFile;
}

namespace asyncjob::trace {

class Ring;

// Whether there could be one now. If not, why is said on standard error.
[[nodiscard]] bool can_write_file(const OutputFile& file) noexcept;

// Those of the list. `dropped` is how many events are in none of them. What goes wrong is said on
// standard error.
void write_file(const OutputFile& file, const Ring* rings, std::uint64_t dropped) noexcept;

}  // namespace asyncjob::trace
