# What most files include takes as long to compile as what they say themselves: it is read once.
#
# tessera_precompiled(NAME [HEADERS HEADER...] [LIBRARIES LIBRARY...] [OPTIONS OPTION...]): the common headers and
# these, for the targets that ask for NAME with tessera_reads(TARGET NAME), link the same libraries and optimize as
# much: GCC 12 crashes where they optimize more. A file still includes what it uses: .ci/full builds without this.
set(TESSERA_PRECOMPILED "" CACHE PATH
    "The build folder whose precompiled headers are read; for a project around Tessera, which makes none")

function(tessera_precompiled name)
  if(NOT PROJECT_IS_TOP_LEVEL)
    return()  # a project around this one has settings of its own
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 more "" "" "HEADERS;LIBRARIES;OPTIONS")
  find_package(fmt REQUIRED)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc)
  file(GENERATE OUTPUT ${source} CONTENT "")
  add_library(headers_${name} OBJECT EXCLUDE_FROM_ALL ${source})
  target_link_libraries(headers_${name} PRIVATE tessera_options fmt::fmt ${more_LIBRARIES})
  target_compile_options(headers_${name} PRIVATE ${more_OPTIONS})
  set(headers
      algorithm array chrono cmath cstdint cstring filesystem fstream functional map memory mutex optional random span
      sstream string string_view unordered_map utility vector fmt/format.h nlohmann/json.hpp
      ${more_HEADERS})
  list(TRANSFORM headers REPLACE "(.+)" "<\\1>")
  target_precompile_headers(headers_${name} PRIVATE ${headers})
endfunction()

function(tessera_reads target name)
  if(TARGET headers_${name})
    target_precompile_headers(${target} REUSE_FROM headers_${name})
  endif()
endfunction()

# The same for a room. tests/embedding builds the library within another project and finds every object in the
# compiler's cache, if it is compiled by the same words: so they are ours, not CMake's, and name the same folder.
# Not with Clang, which asks for the same sanitizers: tests/fuzz knows which room has which.
function(tessera_room_reads target name)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL GNU OR CMAKE_DISABLE_PRECOMPILE_HEADERS)
    return()
  endif()
  if(TARGET headers_${name})
    set(build ${PROJECT_BINARY_DIR})
  elseif(TESSERA_PRECOMPILED)
    set(build ${TESSERA_PRECOMPILED})
  else()
    return()
  endif()
  set(header ${build}/src/CMakeFiles/headers_${name}.dir/cmake_pch.hxx)
  target_compile_options(${target} PRIVATE -Winvalid-pch "SHELL:-include ${header}")
  if(TARGET headers_${name})
    get_target_property(sources ${target} SOURCES)
    set_source_files_properties(${sources} PROPERTIES OBJECT_DEPENDS ${header}.gch)
  endif()
endfunction()
