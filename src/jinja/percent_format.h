// The two ways in which Python fills values into a pattern: "%s: %d" % (...) and "{}:
// {:>4}".format(...).
#pragma once

#include "jinja/value.h"

namespace tessera::jinja {

// The pattern is a string. What is put into Markup is escaped, and the result is Markup.
//
// `pattern % values`: a tuple fills the places in order, a dict fills %(name)s, anything else is
// the only value.
Value percent_format(const Value& pattern, const Value& values, Budget& budget);

// pattern.format(*positional, **named).
Value brace_format(const Value& pattern, const Arguments& arguments, Budget& budget);

}  // namespace tessera::jinja
