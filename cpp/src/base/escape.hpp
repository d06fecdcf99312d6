#pragma once

#include <string>

namespace realesrgan {

// A word of a file for a message: in single quotes, its first 60 bytes. Control characters are
// escaped as \n or \x1b, bytes that are no UTF-8 as \xff, so that the message is one line of UTF-8.
std::string shown_name(const std::string& word);

// A path for a message: escaped in the same way, whole and without quotes.
std::string shown_path(const std::string& path);

}  // namespace realesrgan
