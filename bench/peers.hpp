// SPDX-License-Identifier: Apache-2.0
// Registers the benchmarks of what else switches stacks, of wakes and of Job. A function whose peer
// the build did not find, or that this platform has not, does nothing.
#pragma once

#include <cstddef>
#include <vector>

// Boost.Context: boost-jump, boost-fiber; sweeps over so many.
void add_boost_benchmarks(const std::vector<std::size_t>& sweeps);
void add_coroutine2_benchmarks();  // Boost.Coroutine2: coroutine2
void add_ucontext_benchmarks();    // glibc: ucontext
void add_floor_benchmarks();       // a bare switch in assembly: floor
void add_wake_benchmarks();        // wakes against an eventfd for each job: ours, stock
void add_cxx_benchmarks();         // asyncjob/job.hpp: ours
