// SPDX-License-Identifier: Apache-2.0
// Does one operation of the job interface a given number of times, to be run under
// Valgrind's callgrind by check_instructions.sh. A run with 0 times does all the rest.
//
// Next layer down: the library.
#include <asyncjob/async.h>
#include <asyncjob/control.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

namespace {

// Whether the pausing job should come to its end.
bool stop = false;

int finish_at_once(void* /*args*/) {
    return 0;
}

int pause_once(void* /*args*/) {
    ASYNC_pause_job();
    return 0;
}

int pause_until_stop(void* /*args*/) {
    while (!stop)
        ASYNC_pause_job();
    return 0;
}

void expect(int wanted, int got) {
    if (got != wanted) {
        std::fprintf(stderr, "instructions: %d instead of %d\n", got, wanted);
        std::exit(1);
    }
}

void pause_resume(long times) {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    stop = false;
    expect(ASYNC_PAUSE, ASYNC_start_job(&job, nullptr, &result, pause_until_stop, nullptr, 0));
    for (long i = 0; i < times; ++i)
        expect(ASYNC_PAUSE, ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0));
    stop = true;
    expect(ASYNC_FINISH, ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0));
}

// With assembly only: another switch cannot leave the control words alone.
void pause_resume_shared_fp(long times) {
    expect(0, asyncjob_share_fp_mode(1));
    pause_resume(times);
    expect(1, asyncjob_share_fp_mode(0));
}

template <std::size_t args_size>
void start_finish(long times) {
    std::array<char, args_size + 1> args{};
    void* const passed = args_size != 0 ? args.data() : nullptr;
    ASYNC_JOB* job = nullptr;
    int result = 0;
    for (long i = 0; i < times; ++i) {
        expect(ASYNC_FINISH,
               ASYNC_start_job(&job, nullptr, &result, finish_at_once, passed, args_size));
    }
}

void whole_life(long times) {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    for (long i = 0; i < times; ++i) {
        expect(ASYNC_PAUSE, ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0));
        expect(ASYNC_FINISH, ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0));
    }
}

void current_job_outside(long times) {
    for (long i = 0; i < times; ++i) {
        if (ASYNC_get_current_job() != nullptr)
            expect(0, 1);
    }
}

int ask_for_current_job(void* args) {
    for (long i = 0; i < *static_cast<long*>(args); ++i) {
        if (ASYNC_get_current_job() == nullptr)
            return 1;
    }
    return 0;
}

void current_job_inside(long times) {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    expect(ASYNC_FINISH,
           ASYNC_start_job(&job, nullptr, &result, ask_for_current_job, &times, sizeof(times)));
    expect(0, result);
}

void wait_ctx(long times) {
    const char key = 0;
    for (long i = 0; i < times; ++i) {
        ASYNC_WAIT_CTX* const ctx = ASYNC_WAIT_CTX_new();
        expect(1, ASYNC_WAIT_CTX_set_wait_fd(ctx, &key, 0, nullptr, nullptr));
        ASYNC_WAIT_CTX_free(ctx);
    }
}

const std::map<std::string, void (*)(long)> operations = {
    {"pause-resume", pause_resume},
    {"pause-resume-shared-fp", pause_resume_shared_fp},
    {"start-finish", start_finish<0>},
    {"start-finish-64B", start_finish<64>},
    {"whole-life", whole_life},
    {"current-job-outside", current_job_outside},
    {"current-job-inside", current_job_inside},
    {"wait-ctx-new-set-free", wait_ctx},
};

}  // namespace

int main(int argc, char** argv) {
    if (argc == 1) {
        for (const auto& operation : operations)
            std::printf("%s\n", operation.first.c_str());
        return 0;
    }
    const auto found = operations.find(argv[1]);
    if (argc != 3 || found == operations.end()) {
        std::fprintf(stderr, "usage: %s [OPERATION TIMES]; without, lists the operations\n",
                     argv[0]);
        return 2;
    }
    found->second(1);  // makes the job and binds what the loader binds late
    found->second(std::strtol(argv[2], nullptr, 10));
    return 0;
}
