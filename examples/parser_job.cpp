// SPDX-License-Identifier: Apache-2.0
// parser_job: a blocking parser turned asynchronous. A hundred clients send their texts in pieces,
// all at the same time; one thread parses them all, each by a job that pauses where the parser
// would block. The parser (parser/lists.hpp) is what it was.
// Build: c++ -std=c++20 -pthread parser_job.cpp -lasyncjob
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asyncjob/job.hpp>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <istream>
#include <memory>
#include <streambuf>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "parser/lists.hpp"

namespace {

// Where the parser meets its socket: instead of blocking in read(), the job pauses.
class SocketBuffer : public std::streambuf {
  public:
    SocketBuffer(int socket, asyncjob::WaitContext& wait) : socket_(socket), wait_(wait) {
        wait_.set_wait_fd(this, socket_);
    }
    ~SocketBuffer() override { wait_.clear_fd(this); }
    SocketBuffer(const SocketBuffer&) = delete;
    SocketBuffer& operator=(const SocketBuffer&) = delete;

  protected:
    int_type underflow() override {
        for (;;) {
            const ssize_t size = recv(socket_, bytes_.data(), bytes_.size(), MSG_DONTWAIT);
            if (size > 0) {
                setg(bytes_.data(), bytes_.data(), bytes_.data() + size);
                return traits_type::to_int_type(bytes_[0]);
            }
            if (size == 0)
                return traits_type::eof();
            if (errno != EAGAIN && errno != EINTR)
                throw std::system_error(errno, std::generic_category(), "recv");
            asyncjob::pause();
        }
    }

  private:
    int socket_;
    asyncjob::WaitContext& wait_;
    std::array<char, 256> bytes_{};
};

long parse(int socket, asyncjob::WaitContext& wait) {
    SocketBuffer buffer(socket, wait);
    std::istream in(&buffer);
    // Else the stream would keep what the buffer throws, asyncjob::Cancelled too.
    in.exceptions(std::ios::badbit);
    return lists::read_sum(in);
}

class Socket {
  public:
    explicit Socket(int fd) : fd(fd) {}
    ~Socket() { close(fd); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    const int fd;
};

// The server's side of a connection. The job comes last, so that it is cancelled, if it is paused,
// while all that it uses is still there.
struct Session {
    explicit Session(int accepted)
        : socket(accepted), job(wait, [this] { return parse(socket.fd, wait); }) {}

    Socket socket;
    asyncjob::WaitContext wait;
    asyncjob::Job<long> job;
};

// The other side.
struct Client {
    int socket;
    std::string text;
    bool hangs_up;
};

// Sends all texts, a piece of each in turn.
void send_all(std::vector<Client> clients) {
    constexpr std::size_t piece = 3;
    bool is_done = false;
    for (std::size_t at = 0; !is_done; at += piece) {
        is_done = true;
        for (Client& client : clients) {
            if (at < client.text.size()) {
                const std::size_t size = std::min(piece, client.text.size() - at);
                if (send(client.socket, &client.text[at], size, MSG_NOSIGNAL) < 0)
                    client.text.clear();  // the server has had enough of it
                is_done = false;
            } else if (client.hangs_up && client.socket >= 0) {
                close(client.socket);
                client.socket = -1;
            }
        }
    }
}

struct Outcome {
    int parsed = 0;
    int refused = 0;
    int pauses = 0;
    long sum = 0;
};

// Resumes a session's job, and notes what comes of it. Whether the job is done.
bool go_on(Session& session, Outcome& outcome) {
    try {
        if (!session.job.resume()) {
            ++outcome.pauses;
            return false;
        }
        outcome.sum += session.job.result();
        ++outcome.parsed;
    } catch (const std::runtime_error& error) {
        std::printf("refused: %s\n", error.what());
        ++outcome.refused;
    }
    return true;
}

// The loop of a server, until as many sessions are left.
void serve(std::vector<std::unique_ptr<Session>>& sessions, std::size_t left, Outcome& outcome) {
    while (sessions.size() > left) {
        std::vector<pollfd> fds;
        for (const auto& session : sessions)
            fds.push_back({session->wait.fds().at(0), POLLIN, 0});
        if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "poll");
        std::size_t at = 0;
        std::erase_if(sessions, [&](const auto& session) {
            return fds[at++].revents != 0 && go_on(*session, outcome);
        });
    }
}

void run() {
    constexpr int count = 100;
    std::vector<Client> clients;
    std::vector<std::unique_ptr<Session>> sessions;
    for (int number = 0; number < count; ++number) {
        std::array<int, 2> sockets{};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0)
            throw std::system_error(errno, std::generic_category(), "socketpair");
        sessions.push_back(std::make_unique<Session>(sockets[0]));
        const std::string digits = std::to_string(number);
        clients.push_back({sockets[1], "[[" + digits + ", [ ]], 1, [[2], -3]]", true});
    }
    clients[0].text = "[1, [2, three]]";
    clients[1].text = "[1, [2";
    clients[2].text = "[1, [2";
    clients[2].hangs_up = false;

    // Nobody has sent anything yet, so all of them pause.
    Outcome outcome;
    for (const auto& session : sessions)
        go_on(*session, outcome);
    std::thread sender(send_all, clients);
    serve(sessions, 1, outcome);
    sender.join();
    if (outcome.pauses < count)
        throw std::runtime_error("some job has never paused");
    std::printf("%d parsed, with a sum of %ld; %d refused; %zu given up\n", outcome.parsed,
                outcome.sum, outcome.refused, sessions.size());
    sessions.clear();  // cancels the job of the client that has said no more
    close(clients[2].socket);
}

}  // namespace

int main() {
    try {
        run();
        return 0;
    } catch (const std::exception& exception) {
        std::fprintf(stderr, "parser_job: %s\n", exception.what());
        return 1;
    }
}
