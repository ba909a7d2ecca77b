/* SPDX-License-Identifier: Apache-2.0 */
/* A part of the mixed program, as C. */
#include "part.h"
