// SPDX-License-Identifier: Apache-2.0
// Where a sequence of calls has its choices from: a seed, or bytes of somebody's choice
// (tests/fuzz/), one of which makes one choice mostly. All bytes make a sequence; behind the last
// one the choices are spent, and the first of each is taken.
#pragma once

#include <cstddef>
#include <cstdint>

namespace differential {

class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    Random(const std::uint8_t* bytes, std::size_t size) : at_(bytes), end_(bytes + size) {}

    std::uint64_t next() {
        if (at_ != nullptr)
            return from_bytes();
        std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;  // splitmix64
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return mixed ^ (mixed >> 31);
    }

    // 0 to n - 1.
    int below(int n) {
        const std::uint64_t number = at_ != nullptr && n <= 256 ? from_byte() : next();
        return static_cast<int>(number % static_cast<std::uint64_t>(n));
    }

    bool percent(int chance) { return below(100) < chance; }

    // Whether all bytes have been used; never so with a seed.
    [[nodiscard]] bool is_spent() const { return at_ != nullptr && at_ == end_; }

  private:
    std::uint64_t from_byte() { return at_ != end_ ? *at_++ : 0; }
    std::uint64_t from_bytes() {
        std::uint64_t number = 0;
        for (int shift = 0; shift < 32; shift += 8)
            number |= from_byte() << shift;
        return number;
    }

    std::uint64_t state_ = 0;
    const std::uint8_t* at_ = nullptr;
    const std::uint8_t* end_ = nullptr;
};

}  // namespace differential
