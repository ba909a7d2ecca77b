// SPDX-License-Identifier: Apache-2.0
// A parser as they are written every day: recursive, reading from a std::istream, and blocking
// where that has nothing yet. It knows nothing of jobs, and might be somebody else's.
#pragma once

#include <istream>
#include <stdexcept>

namespace lists {

// Reads a number, or a list such as [1, [2, 3], []], and returns the sum of all numbers in it.
// Throws std::runtime_error at anything else.
inline long read_sum(std::istream& in) {
    char next = 0;
    if (!(in >> next))
        throw std::runtime_error("the text ends too early");
    if (next != '[') {
        in.putback(next);
        long number = 0;
        if (!(in >> number))
            throw std::runtime_error("no number where one should be");
        return number;
    }
    if ((in >> std::ws).peek() == ']') {
        in.get();
        return 0;
    }
    long sum = 0;
    do {
        sum += read_sum(in);
        if (!(in >> next))
            throw std::runtime_error("the text ends too early");
    } while (next == ',');
    if (next != ']')
        throw std::runtime_error("neither a comma nor the end of the list");
    return sum;
}

}  // namespace lists
