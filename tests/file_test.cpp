// SPDX-License-Identifier: Apache-2.0
// Files that get a new content: what is replaced, what is written to, and what is left alone.
#include "os/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "support.hpp"

namespace test {
namespace {

namespace fs = std::filesystem;
using asyncjob::os::Replacement;

std::string content(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Files : public testing::Test {
  protected:
    Files() {
        std::string name = fs::temp_directory_path() / "asyncjob-file-XXXXXX";
        EXPECT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    ~Files() override { fs::remove_all(folder_); }

    [[nodiscard]] fs::path path(const char* name) const { return folder_ / name; }
    [[nodiscard]] fs::path make(const char* name) const {
        std::ofstream(path(name)) << "old";
        return path(name);
    }
    [[nodiscard]] std::size_t count() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {}));
    }
    static bool write(Replacement& to, std::string_view text) {
        return to.write(text.data(), text.size());
    }
    bool replace(const fs::path& path) {
        if (!first_->begin(path.c_str()))
            return false;
        EXPECT_TRUE(write(*first_, "new"));
        return first_->put_in_place();
    }
    void expect_refused(const fs::path& path, int why) {
        EXPECT_FALSE(first_->could_begin(path.c_str()));
        EXPECT_EQ(errno, why);
        EXPECT_FALSE(replace(path));
        EXPECT_EQ(errno, why);
    }

    std::unique_ptr<Replacement> first_ = std::make_unique<Replacement>(Replacement::For::all);
    std::unique_ptr<Replacement> second_ = std::make_unique<Replacement>(Replacement::For::all);

  private:
    fs::path folder_;
};

TEST_F(Files, HaveTheOldContentUntilTheNewOneIsThere) {
    const fs::path file = make("file");
    ASSERT_TRUE(first_->begin(file.c_str()));
    EXPECT_TRUE(write(*first_, "new"));
    EXPECT_EQ(content(file), "old");
    EXPECT_TRUE(first_->put_in_place());
    EXPECT_EQ(content(file), "new");
    ASSERT_TRUE(first_->begin(file.c_str()));
    EXPECT_TRUE(write(*first_, "newer"));
    first_->give_up();
    EXPECT_EQ(content(file), "new");
    EXPECT_TRUE(first_->could_begin(file.c_str()));
    EXPECT_EQ(count(), 1U);
}

TEST_F(Files, AreReadableByThoseWhoAreToReadThem) {
    const mode_t before = umask(022);
    const fs::path file = make("file");
    EXPECT_TRUE(replace(file));
    EXPECT_EQ(fs::status(file).permissions(), fs::perms{0644});
    first_ = std::make_unique<Replacement>(Replacement::For::user);
    EXPECT_TRUE(replace(file));
    EXPECT_EQ(fs::status(file).permissions(), fs::perms{0600});
    umask(before);
}

// As two processes that have the same number in two containers, and share a folder.
TEST_F(Files, OfOneNameAreWrittenByTwoAtATimeAndEachIsWhole) {
    const fs::path file = path("file");
    ASSERT_TRUE(first_->begin(file.c_str()));
    EXPECT_TRUE(write(*first_, "fir"));
    ASSERT_TRUE(second_->begin(file.c_str()));
    EXPECT_TRUE(write(*second_, "sec"));
    EXPECT_TRUE(write(*first_, "st"));
    EXPECT_TRUE(first_->put_in_place());
    EXPECT_EQ(content(file), "first");
    EXPECT_TRUE(write(*second_, "ond"));
    EXPECT_TRUE(second_->put_in_place());
    EXPECT_EQ(content(file), "second");
    EXPECT_EQ(count(), 1U);
}

TEST_F(Files, BehindLinksAreReplacedAndTheLinksStay) {
    const fs::path file = make("file");
    fs::create_directory(path("there"));
    fs::create_symlink("../file", path("there") / "near");
    fs::create_symlink(path("there") / "near", path("far"));
    fs::create_symlink("none", path("dangling"));
    const std::size_t before = count();
    EXPECT_TRUE(replace(path("far")));
    EXPECT_TRUE(fs::is_symlink(path("far")) && fs::is_symlink(path("there") / "near"));
    EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(file)));
    EXPECT_EQ(content(file), "new");
    EXPECT_EQ(count(), before);
    EXPECT_TRUE(replace(path("dangling")));
    EXPECT_TRUE(fs::is_symlink(path("dangling")));
    EXPECT_EQ(content(path("none")), "new");
}

TEST_F(Files, BehindLinksOfOthersAreLeftAlone) {
    if (getuid() != 0)
        GTEST_SKIP() << "only root can make what is another user's";
    const fs::path file = make("file");
    fs::create_symlink("file", path("theirs"));
    ASSERT_EQ(lchown(path("theirs").c_str(), 65534, 65534), 0);
    expect_refused(path("theirs"), EACCES);
    EXPECT_EQ(content(file), "old");
    EXPECT_TRUE(fs::is_symlink(path("theirs")));
}

TEST_F(Files, ThatCannotBeAreErrors) {
    fs::create_symlink("loop", path("loop"));
    expect_refused(path("loop"), ELOOP);
    expect_refused(path("none") / "file", ENOENT);
    expect_refused("/" + std::string(5000, 'x'), ENAMETOOLONG);
    fs::create_symlink(std::string(4000, 'x'), path("long"));
    expect_refused(path("long"), ENAMETOOLONG);
    EXPECT_EQ(count(), 2U);
}

// A link of /proc, as /dev/stdout is one: what it leads to may have other users, and no name.
TEST_F(Files, BehindLinksOfProcAreWrittenToAtTheFdsPosition) {
    const fs::path file = path("file");
    const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    fs::create_symlink("/proc/self/fd/" + std::to_string(fd), path("proc"));
    fs::create_symlink("proc", path("far"));
    struct stat before {};
    ASSERT_EQ(fstat(fd, &before), 0);
    EXPECT_EQ(::write(fd, "before ", 7), 7);
    EXPECT_TRUE(first_->could_begin(path("far").c_str()));
    EXPECT_TRUE(replace(path("far")));
    EXPECT_EQ(::write(fd, " after", 6), 6);
    close(fd);
    EXPECT_EQ(content(file), "before new after");
    struct stat after {};
    ASSERT_EQ(stat(file.c_str(), &after), 0);
    EXPECT_EQ(after.st_ino, before.st_ino);
    EXPECT_TRUE(fs::is_symlink(path("proc")) && fs::is_symlink(path("far")));
    EXPECT_EQ(count(), 3U);
}

TEST_F(Files, ThatAreDevicesAndPipesAreWrittenToAlsoBehindLinks) {
    fs::create_symlink("/dev/null", path("null"));
    EXPECT_TRUE(first_->could_begin(path("null").c_str()));
    EXPECT_TRUE(replace(path("null")));
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    fs::create_symlink("/proc/self/fd/" + std::to_string(ends[1]), path("pipe"));
    EXPECT_TRUE(replace(path("pipe")));
    char text[4]{};
    EXPECT_EQ(read(ends[0], text, sizeof text), 3);
    EXPECT_STREQ(text, "new");
    close(ends[0]);
    close(ends[1]);
    ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
    EXPECT_TRUE(first_->could_begin(path("fifo").c_str())) << "it is not asked";
    EXPECT_FALSE(replace(path("fifo")));
    EXPECT_EQ(errno, ENXIO) << "nobody reads";
    EXPECT_EQ(count(), 3U);
}

}  // namespace
}  // namespace test
