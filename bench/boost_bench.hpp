// SPDX-License-Identifier: Apache-2.0
// Registers Boost.Context's benchmarks; does nothing where the build found no Boost.Context.
#pragma once

void add_boost_benchmarks();
