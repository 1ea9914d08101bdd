# Warnings, sanitizers and faster tools, in one place.
add_library(tessera_options INTERFACE)
target_include_directories(tessera_options INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
# Contraction is off so that a float expression means the same in every function that holds it:
# kernels ask for fused multiply-add by name (docs/architecture.md: the order of operations is part of the result).
target_compile_options(tessera_options INTERFACE -Wall -Wextra -Wnon-virtual-dtor -ffp-contract=off)
# GCC's -Wshadow also speaks up about scoped enumerators that share a global's name.
target_compile_options(tessera_options INTERFACE $<IF:$<CXX_COMPILER_ID:GNU>,-Wshadow=local,-Wshadow>)
# GCC collects garbage from 128 MB on, which most files reach on their way: a sixth of its time, for 100 MB.
target_compile_options(tessera_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=524288>)
if(TESSERA_WERROR)
  target_compile_options(tessera_options INTERFACE -Werror)
endif()
# Assertions (src/base/assert.h) where speed is not what a build is for.
target_compile_definitions(
  tessera_options INTERFACE $<$<OR:$<CONFIG:Debug>,$<BOOL:${TESSERA_SANITIZE}>,$<BOOL:${TESSERA_FUZZ}>>:TESSERA_ASSERTIONS>)
if(TESSERA_SANITIZE)
  target_compile_options(tessera_options INTERFACE -fsanitize=${TESSERA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  # Variable tracking takes GCC minutes in unrolled kernels; the reports' stacks do not need it.
  target_compile_options(tessera_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fno-var-tracking>)
  target_link_options(tessera_options INTERFACE -fsanitize=${TESSERA_SANITIZE})
endif()

# The tools of this machine, unless a project around this one has chosen its own.
if(PROJECT_IS_TOP_LEVEL)
  find_program(CCACHE ccache)
  if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  endif()
  find_program(MOLD mold)
  if(MOLD AND NOT CMAKE_CROSSCOMPILING)  # a cross compiler looks for a linker of its own prefix
    add_link_options(-fuse-ld=mold)
  endif()
endif()
