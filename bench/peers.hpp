// SPDX-License-Identifier: Apache-2.0
// Registers the benchmarks of what else switches stacks. A function whose peer the build did
// not find does nothing.
#pragma once

void add_boost_benchmarks();  // Boost.Context: boost-jump, boost-fiber
