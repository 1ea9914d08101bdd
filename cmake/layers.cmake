# tessera_layer(NAME [DEPENDS libraries...]): one static library for each folder of src/.
# The sources are globbed: a new file needs no line here.
function(tessera_layer name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(sources)
    add_library(tessera_${name} STATIC ${sources})
    target_link_libraries(tessera_${name} PUBLIC tessera_options ${ARG_DEPENDS})
  else()
    add_library(tessera_${name} INTERFACE)
    target_link_libraries(tessera_${name} INTERFACE tessera_options ${ARG_DEPENDS})
  endif()
endfunction()
