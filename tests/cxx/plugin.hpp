// SPDX-License-Identifier: Apache-2.0
// A library that uses job.hpp and hides all names but these. See visibility_test.
#pragma once

#include <system_error>

#define PLUGIN_SHOWN [[gnu::visibility("default")]]

PLUGIN_SHOWN void plugin_pause();
PLUGIN_SHOWN int& plugin_local();
PLUGIN_SHOWN const std::error_category& plugin_category();
