# What `cmake --install` puts where: libraries, headers, pkg-config and CMake package files.
include(CMakePackageConfigHelpers)

install(TARGETS asyncjob asyncjob_static asyncjob_compat asyncjob_asio EXPORT asyncjobTargets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/asyncjob
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
# Not in include/openssl: it shadows the distribution's header only where one asks for it.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/compat/openssl
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/asyncjob/compat)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}
    FILES_MATCHING PATTERN "*.[1-8]")
# In gdb: source <prefix>/share/asyncjob/gdb/asyncjob.py
install(FILES ${PROJECT_SOURCE_DIR}/tools/gdb/asyncjob.py
    DESTINATION ${CMAKE_INSTALL_DATADIR}/asyncjob/gdb)
# valgrind --tool=helgrind --suppressions=<prefix>/share/asyncjob/valgrind/helgrind.supp
install(FILES ${PROJECT_SOURCE_DIR}/tools/valgrind/helgrind.supp
    DESTINATION ${CMAKE_INSTALL_DATADIR}/asyncjob/valgrind)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/asyncjob)
install(EXPORT asyncjobTargets NAMESPACE asyncjob:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/asyncjobConfig.cmake.in
    ${PROJECT_BINARY_DIR}/asyncjobConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/asyncjobConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/asyncjobConfig.cmake
    ${PROJECT_BINARY_DIR}/asyncjobConfigVersion.cmake DESTINATION ${package_dir})

file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
foreach(pc asyncjob asyncjob-compat)
    configure_file(${CMAKE_CURRENT_LIST_DIR}/${pc}.pc.in ${PROJECT_BINARY_DIR}/${pc}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
