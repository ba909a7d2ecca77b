// SPDX-License-Identifier: Apache-2.0
// Stand-ins for the application's callbacks, which call them unless their connection is being
// torn down. For callbacks that libssl takes from the SSL_CTX when it calls them, or of which it
// keeps a copy while it goes on (the info callback through a whole handshake, the verify callback
// through a verification); those that each SSL has of its own are replaced at the teardown.
//
// A stand-in has no room for the function that it stands for, so there is a supply of them for
// each kind, and an application's function has the same one for good, whatever it is set on.
//
// Owner: setters.cpp. Threads: any. Next layer down: teardown.hpp.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "teardown.hpp"

namespace asyncjob::ssl {

// Kind::refuse is what is returned instead of a call: what stops a handshake soonest. Kind also
// tells callbacks apart that have the same type.
template <class Kind, class Function>
class StandIns;

template <class Kind, class Result, class... Args>
class StandIns<Kind, Result (*)(Args...)> {
  public:
    using Function = Result (*)(Args...);

    // What to give to libssl for a function of the application's.
    static Function for_function(const Libssl& libssl, Function function) noexcept {
        if (function == nullptr || !libssl.is_known || is_one(function))
            return function;
        for (std::size_t at = 0; at < supply; ++at) {
            Function taken = nullptr;
            if (functions[at].compare_exchange_strong(taken, function) || taken == function)
                return stand_ins[at];
        }
        give_up_ending("the program has set more than 16 callbacks of a kind");
        return function;
    }

    // The application's function for what libssl has.
    static Function behind(Function known) noexcept {
        for (std::size_t at = 0; at < supply; ++at) {
            if (stand_ins[at] == known)
                return functions[at].load();
        }
        return known;
    }

  private:
    // Programs have one or two of a kind.
    static constexpr std::size_t supply = 16;

    static bool is_one(Function function) {
        for (const Function stand_in : stand_ins) {
            if (stand_in == function)
                return true;
        }
        return false;
    }

    template <class Arg>
    static bool is_of_ending(Arg arg) {
        using Object = std::remove_cv_t<std::remove_pointer_t<Arg>>;
        if constexpr (std::is_same_v<Object, SSL> || std::is_same_v<Object, X509_STORE_CTX>)
            return is_ending(arg);
        return false;
    }

    template <std::size_t at>
    static Result call(Args... args) {
        if ((is_of_ending(args) || ...)) [[unlikely]]
            return Kind::refuse();
        return functions[at].load(std::memory_order_relaxed)(args...);
    }

    template <std::size_t... numbers>
    static constexpr std::array<Function, supply> make(std::index_sequence<numbers...> /*of*/) {
        return {call<numbers>...};
    }

    static inline constinit std::atomic<Function> functions[supply]{};
    static constexpr std::array<Function, supply> stand_ins =
        make(std::make_index_sequence<supply>());
};

}  // namespace asyncjob::ssl
