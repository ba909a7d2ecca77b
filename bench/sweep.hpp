// SPDX-License-Identifier: Apache-2.0
// The order in which a benchmark visits many paused jobs or fibers, one for each iteration.
//
// The visit goes on where the last one ended, across runs of the benchmark, so that a run
// that is shorter than the crowd does not find the same few in the cache each time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

enum class Order { in_turn, random };

// Handle: what resumes one of them. The handles lie in the order of the visit, so that
// finding the next one costs the same in either order.
template <typename Handle>
class Sweep {
  public:
    // The one sweep of its kind over the first `count` of `crowd`.
    static Sweep& of(const std::vector<Handle>& crowd, std::size_t count, Order order) {
        static std::map<std::pair<const void*, std::pair<std::size_t, Order>>, Sweep> sweeps;
        Sweep& sweep = sweeps[{&crowd, {count, order}}];
        if (sweep.handles_.empty()) {
            sweep.handles_.assign(crowd.begin(),
                                  crowd.begin() + static_cast<std::ptrdiff_t>(count));
            if (order == Order::random) {
                std::mt19937 seeded(1);
                std::shuffle(sweep.handles_.begin(), sweep.handles_.end(), seeded);
            }
        }
        return sweep;
    }

    Handle& next() {
        if (at_ == handles_.size())
            at_ = 0;
        return handles_[at_++];
    }

    // The one that next() gives after some others, fewer than there are.
    Handle ahead(std::size_t others) const {
        const std::size_t at = at_ + others;
        return handles_[at < handles_.size() ? at : at - handles_.size()];
    }

  private:
    std::vector<Handle> handles_;
    std::size_t at_ = 0;
};

// Calls add(name of the benchmark, count, order) for each sweep over so many.
template <typename Add>
void for_each_sweep(const std::vector<std::size_t>& counts, Add add) {
    for (const std::size_t count : counts) {
        const std::string name = "sweep-" + std::to_string(count);
        add(name + "-in-turn", count, Order::in_turn);
        add(name + "-random", count, Order::random);
    }
}
