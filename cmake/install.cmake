# cmake --install: the public headers, the library, the program; a CMake package and a pkg-config module.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/tessera)

install(DIRECTORY include/tessera DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS tessera_library EXPORT tessera ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TESSERA_PROGRAM)
  install(TARGETS tessera RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# find_package(tessera). Before 1.0 a minor version may change the API (docs/stability.md).
install(EXPORT tessera NAMESPACE tessera:: FILE tessera-targets.cmake DESTINATION ${package})
configure_file(cmake/tessera-config.cmake.in tessera-config.cmake @ONLY)
write_basic_package_version_file(tessera-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tessera-config.cmake ${PROJECT_BINARY_DIR}/tessera-config-version.cmake
        DESTINATION ${package})

# pkg-config tessera. It finds its prefix from where it lies, so that an installed tree can be moved.
set(pkgconfig ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
string(REGEX REPLACE "[^/]+" ".." up ${pkgconfig})
list(JOIN TESSERA_MODULES " " modules)
configure_file(cmake/tessera.pc.in tessera.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tessera.pc DESTINATION ${pkgconfig})
