// SPDX-License-Identifier: Apache-2.0
// The same from C++, in a dialect that is older than the library's own.
#include "consumer.c"
