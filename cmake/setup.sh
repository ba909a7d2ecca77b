# SPDX-License-Identifier: Apache-2.0
# Sourced by ./run, ./test and .ci/run: installs the Debian packages that are missing, and
# configures and builds a preset. Needs root only where something is missing.

packages=(
    build-essential g++ cmake ninja-build ccache pkg-config # build
    libssl-dev openssl libcli11-dev                         # examples, tests
    libasio-dev nlohmann-json3-dev                          # provider, program
    libgtest-dev python3 valgrind gdb                       # tests
    libboost-dev apache2-utils curl                         # tests/asio
    libbenchmark-dev libboost-context-dev                   # bench
    systemtap-sdt-dev                                       # static probes, see src/probes.hpp
)
ci_packages=(
    clang clang-format clang-tidy git
    libclang-rt-14-dev # .ci/fuzz
    libc++-dev libc++abi-dev # tests/cxx, a second time
    haproxy trafficserver nginx softhsm2 opensc # tests under real servers, which skip without
)

cpus_packages=( # .ci/cpus
    g++-aarch64-linux-gnu g++-riscv64-linux-gnu g++-arm-linux-gnueabihf
    g++-i686-linux-gnu g++-powerpc64le-linux-gnu g++-s390x-linux-gnu
    googletest qemu-user
)

# What another clone has compiled is taken from the cache: paths below this one count from here.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# install_missing PACKAGE...
install_missing() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "Installing: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        echo "These Debian packages are missing; run as root, or: sudo apt-get install ${missing[*]}" >&2
        return 1
    fi
    local log
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        return 1
    fi
    rm -f "$log"
}

# Installs a package of bookworm-backports, which the machine's Debian sources may not name.
# Fails quietly: what wants it skips.
install_backport() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed && return
    awk 'BEGIN { RS = "" }
         /Suites: bookworm bookworm-updates/ {
             sub(/Suites:[^\n]*/, "Suites: bookworm-backports"); print; exit }' \
        /etc/apt/sources.list.d/*.sources >/etc/apt/sources.list.d/asyncjob-backports.sources &&
        apt-get update && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends -t bookworm-backports "$1"
} </dev/null >/dev/null 2>&1

# build_preset PRESET [cmake options...]
build_preset() {
    local preset=$1
    shift
    cmake --preset "$preset" "$@" >/dev/null
    cmake --build --preset "$preset"
}
