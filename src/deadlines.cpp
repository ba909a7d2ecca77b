// SPDX-License-Identifier: Apache-2.0
// The heap. Contract and invariant: deadlines.hpp.
#include "deadlines.hpp"

#include <cstdlib>

namespace asyncjob {

bool Deadlines::add(Deadline* deadline, os::Time at) noexcept {
    if (size_ + 1 >= capacity_) {
        const std::size_t capacity = capacity_ == 0 ? first_capacity : 2 * capacity_;
        auto* const heap = static_cast<Deadline**>(std::realloc(heap_, capacity * sizeof(void*)));
        if (heap == nullptr)
            return false;
        heap_ = heap;
        capacity_ = capacity;
    }
    deadline->at = at;
    move_up(deadline, ++size_);
    return true;
}

void Deadlines::remove(Deadline* deadline) noexcept {
    const std::size_t place = deadline->place;
    if (place == 0)
        return;
    deadline->place = 0;
    Deadline* const last = heap_[size_--];
    if (last == deadline)
        return;
    if (place > 1 && last->at < heap_[place / 2]->at)
        move_up(last, place);
    else
        move_down(last, place);
}

void Deadlines::clear() noexcept {
    for (std::size_t place = 1; place <= size_; ++place)
        heap_[place]->place = 0;
    std::free(heap_);
    heap_ = nullptr;
    size_ = 0;
    capacity_ = 0;
}

// `deadline` belongs at `place`, which is free, or above.
void Deadlines::move_up(Deadline* deadline, std::size_t place) {
    for (; place > 1 && deadline->at < heap_[place / 2]->at; place /= 2)
        put(heap_[place / 2], place);
    put(deadline, place);
}

// The same, or below.
void Deadlines::move_down(Deadline* deadline, std::size_t place) {
    for (std::size_t child = 2 * place; child <= size_; child = 2 * place) {
        if (child < size_ && heap_[child + 1]->at < heap_[child]->at)
            ++child;
        if (deadline->at <= heap_[child]->at)
            break;
        put(heap_[child], place);
        place = child;
    }
    put(deadline, place);
}

}  // namespace asyncjob
