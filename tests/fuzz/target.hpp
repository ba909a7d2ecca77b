// SPDX-License-Identifier: Apache-2.0
// What each target defines: libFuzzer calls it, or replay.cpp where there is no libFuzzer.
#pragma once

#include <cstddef>
#include <cstdint>

// Before the first input. 0, or the target cannot run here.
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);

// One input. Aborts where something is wrong.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
