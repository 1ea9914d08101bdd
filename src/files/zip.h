// Reading one file out of a zip archive, which is what a Python wheel is.
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/function_ref.h"

namespace tessera {

// Sends the contents of the archive's one member whose name matches `pattern` (as a shell's, but *
// matches '/' too) to `sink`, piece by piece. Nothing in the archive is trusted: an Error names
// what is malformed, or says that not one member matches. Of the format it knows what wheels use:
// stored and deflated members, less than 4 GiB.
// `name` is the archive's, for the message.
void extract_zip_member(std::span<const std::byte> archive, const std::string& name,
                        const std::string& pattern, FunctionRef<void(std::string_view piece)> sink);

}  // namespace tessera
