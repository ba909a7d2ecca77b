// SPDX-License-Identifier: Apache-2.0
// JSON of rings. Contract: trace_file.hpp.
#include "trace_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "os/file.hpp"
#include "os/loader.hpp"
#include "output_file.hpp"
#include "trace_ring.hpp"

namespace asyncjob::trace {

namespace {

// exit() may be called on a stack of a few KiB, so what is large is static.
char buffer[std::size_t{64} * 1024];
// It has addresses of this process, which are those of its siblings where a server forks workers.
constinit os::Replacement target(os::Replacement::For::user);

// Text on its way to the file. After a failure it goes nowhere.
class Text {
  public:
    [[gnu::format(printf, 2, 3)]] void add(const char* format, ...) {
        constexpr std::size_t most_at_once = 512;
        if (used_ > sizeof buffer - most_at_once)
            flush();
        va_list values;
        va_start(values, format);
        // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): they are begun above.
        const int size = std::vsnprintf(buffer + used_, most_at_once, format, values);
        va_end(values);
        if (size > 0)
            used_ += static_cast<std::size_t>(size);
    }

    // False, with errno: something has not been written.
    [[nodiscard]] bool finish() {
        flush();
        errno = why_;
        return why_ == 0;
    }

  private:
    void flush() {
        if (why_ == 0 && !target.write(buffer, used_))
            why_ = errno;
        used_ = 0;
    }

    std::size_t used_ = 0;
    int why_ = 0;
};

// A job is named after its function. The same few ones come again and again.
struct Name {
    const void* function;
    char text[128];
};
constexpr std::size_t name_count = 64;
Name names[name_count];

const char* name_of(const void* function) {
    Name& name = names[reinterpret_cast<std::uintptr_t>(function) / 16 % name_count];
    if (name.function == function && name.text[0] != '\0')
        return name.text;
    name.function = function;
    const os::Symbol symbol = os::symbol_at(function);
    if (symbol.name == nullptr) {
        std::snprintf(name.text, sizeof name.text, "0x%" PRIxPTR,
                      reinterpret_cast<std::uintptr_t>(function));
        return name.text;
    }
    char whole[sizeof name.text - 32];
    const char* const folder_end = std::strrchr(symbol.name, '/');
    copy_plain(whole, sizeof whole, folder_end != nullptr ? folder_end + 1 : symbol.name);
    if (symbol.offset == 0)
        std::snprintf(name.text, sizeof name.text, "%s", whole);
    else
        std::snprintf(name.text, sizeof name.text, "%s+0x%zx", whole, symbol.offset);
    return name.text;
}

std::uintptr_t number(const void* address) {
    return reinterpret_cast<std::uintptr_t>(address);
}

// One thread's events.
class ThreadTrace {
  public:
    ThreadTrace(Text& text, const Ring& ring)
        : text_(text), ring_(ring), end_(ring.end()), begin_(ring.begin(end_)), pid_(getpid()) {}

    // Returns how many there are.
    std::uint64_t write() {
        write_name();
        if (begin_ == end_)
            return 0;
        const os::Time first = ring_.at(begin_).at;
        if (const std::uint64_t dropped = ring_.dropped(end_); dropped != 0) {
            open("i", first);
            text_.add(R"(,"s":"t","name":"dropped","args":{"events":%)" PRIu64 "}}", dropped);
        }
        // Beginnings that are not there: from the newest on, which are those of outer jobs.
        for (std::uint64_t at = end_; at > begin_; --at)
            write_lost_beginning(first, at - 1);
        for (std::uint64_t at = begin_; at < end_; ++at)
            write_event(ring_.at(at));
        const os::Time now = os::now();
        for (; depth_ > 0; --depth_) {
            open("E", now);
            text_.add("}");
        }
        return end_ - begin_;
    }

  private:
    void write_name() {
        char name[os::thread_name_size];
        copy_plain(name, sizeof name, ring_.name);
        text_.add(
            ",\n"
            R"({"ph":"M","pid":%d,"tid":%d,"name":"thread_name","args":{"name":"%s"}})",
            pid_, ring_.thread, name);
    }

    // All that an event of whatever phase begins with.
    void open(const char* phase, os::Time at) {
        text_.add(
            ",\n"
            R"({"ph":"%s","pid":%d,"tid":%d,"ts":%)" PRId64 ".%03d",
            phase, pid_, ring_.thread, at / 1000, static_cast<int>(at % 1000));
    }
    void begin_slice(const Record& record, os::Time at, const char* more) {
        open("B", at);
        text_.add(R"(,"cat":"job","name":"%s","args":{"job":"0x%)" PRIxPTR "\"%s}}",
                  name_of(record.function), number(record.job), more);
        ++depth_;
    }
    void end_slice(const Record& record) {
        open("E", record.at);
        text_.add("}");
        --depth_;
    }
    // Something in the life of a job.
    void of_job(const char* phase, const Record& record, os::Time at, const char* name,
                const char* more = "") {
        open(phase, at);
        text_.add(R"(,"cat":"job","id":"0x%)" PRIxPTR R"(","name":"%s"%s})", number(record.job),
                  name, more);
    }
    void on_thread(const Record& record, const char* name) {
        open("i", record.at);
        text_.add(R"(,"s":"t","cat":"job","name":"%s")", name);
        if (record.job != nullptr)
            text_.add(R"(,"args":{"job":"0x%)" PRIxPTR "\"}", number(record.job));
        text_.add("}");
    }

    // Whether the job's event before this one, with the number `at`, is there. The number may be
    // that of another event: of a fork's parent, or of 2^32 events ago.
    [[nodiscard]] bool has_one_before(const Record& record, std::uint64_t at) const {
        const std::uint64_t distance = static_cast<std::uint32_t>(at + 1) - record.before;
        if (record.before == 0 || distance == 0 || distance > at - begin_)
            return false;
        const Record before = ring_.at(at - distance);
        return before.job == record.job && before.event != Event::wake;
    }

    void write_lost_beginning(os::Time first, std::uint64_t at) {
        const Record record = ring_.at(at);
        if (record.event == Event::wake || record.event == Event::start ||
            has_one_before(record, at))
            return;
        constexpr const char* lost = R"(,"lost":true)";
        of_job("b", record, first, name_of(record.function), R"(,"args":{"lost":true})");
        if (record.event == Event::pause || record.event == Event::finish)
            begin_slice(record, first, lost);
    }

    void write_event(const Record& record) {
        switch (record.event) {
            case Event::start:
                of_job("b", record, record.at, name_of(record.function));
                begin_slice(record, record.at, "");
                break;
            case Event::resume:
                of_job("n", record, record.at, "resume");
                begin_slice(record, record.at, "");
                break;
            case Event::pause:
                end_slice(record);
                of_job("n", record, record.at, "pause");
                break;
            case Event::finish:
                end_slice(record);
                of_job("e", record, record.at, name_of(record.function));
                break;
            case Event::cancel:
                on_thread(record, "cancel");
                of_job("n", record, record.at, "cancel");
                break;
            case Event::wake:
                on_thread(record, "wake");
                if (record.job != nullptr)
                    of_job("n", record, record.at, "wake");
                break;
        }
    }

    Text& text_;
    const Ring& ring_;
    std::uint64_t end_;
    std::uint64_t begin_;
    int pid_;
    std::uint64_t depth_ = 0;
};

bool write_all(const OutputFile& file, const Ring* rings, std::uint64_t dropped) {
    Text text;
    const int pid = getpid();
    text.add(
        "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
        R"({"ph":"M","pid":%d,"name":"process_name","args":{"name":"%s"}})",
        pid, file.program());
    std::uint64_t events = 0;
    for (const Ring* ring = rings; ring != nullptr; ring = ring->made_before) {
        events += ThreadTrace(text, *ring).write();
        dropped += ring->dropped(ring->end());
    }
    text.add(
        "\n],\"otherData\":{"
        R"("program":"%s","pid":%d,"clock":"CLOCK_MONOTONIC","events":%)" PRIu64
        R"(,"dropped":%)" PRIu64 "}}\n",
        file.program(), pid, events, dropped);
    return text.finish();
}

}  // namespace

bool can_write_file(const OutputFile& file) noexcept {
    if (target.could_begin(file.path()))
        return true;
    file.complain(file.path(), std::strerror(errno));
    return false;
}

void write_file(const OutputFile& file, const Ring* rings, std::uint64_t dropped) noexcept {
    if (!target.begin(file.path()) || !target.finish(write_all(file, rings, dropped)))
        file.complain(file.path(), std::strerror(errno));
}

}  // namespace asyncjob::trace
