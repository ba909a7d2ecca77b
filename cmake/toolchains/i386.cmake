# For i386, with Debian's package g++-i686-linux-gnu. The programs run on x86-64's own processor and
# kernel: qemu-i386 7.2 hangs where a program makes its first thread.
set(CMAKE_SYSTEM_PROCESSOR i686)
set(triple i686-linux-gnu)
set(libraries /usr/${triple}/lib)
set(CMAKE_EXE_LINKER_FLAGS_INIT
    "-Wl,--dynamic-linker=${libraries}/ld-linux.so.2,--disable-new-dtags,-rpath,${libraries}")
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
