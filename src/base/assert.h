// What must hold unless Tessera itself has a bug. Checked in debug and sanitizer builds, where a
// violation ends the program with the place and the condition; nothing is evaluated in others. What
// a user can cause is an Error (base/error.h), in every build.
#pragma once

#include <cstdio>
#include <cstdlib>

#ifdef TESSERA_ASSERTIONS  // cmake/compiler.cmake
#define TESSERA_ASSERT(condition)                                                            \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
#else
#define TESSERA_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif
