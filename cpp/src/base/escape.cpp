#include "base/escape.hpp"

#include <cstddef>
#include <cstdint>

namespace realesrgan {

namespace {

// Bytes of the character at text[at] where it is valid UTF-8 (RFC 3629); 0 where it is not.
std::size_t character_length(const std::string& text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(at);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || length > text.size() - at) return 0;
    std::uint32_t code = lead & (0x7FU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(at + i) & 0xC0U) != 0x80U) return 0;
        code = code << 6U | (byte(at + i) & 0x3FU);
    }
    const std::uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < least || code > 0x10FFFF || surrogate ? 0 : length;
}

bool is_control(const std::string& text, std::size_t at, std::size_t length) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (length == 1) return lead < 0x20 || lead == 0x7F;
    if (length == 2) return lead == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0;
    // Line and paragraph separators, and the marks that change the direction of what follows.
    const std::string sign = text.substr(at, length);
    return (sign >= "\u200E" && sign <= "\u200F") || (sign >= "\u2028" && sign <= "\u202E") ||
           (sign >= "\u2066" && sign <= "\u2069");
}

std::string escaped_byte(char byte) {
    constexpr const char* kDigits = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    if (byte == '\n') return "\\n";
    if (byte == '\r') return "\\r";
    if (byte == '\t') return "\\t";
    return std::string("\\x") + kDigits[value >> 4U] + kDigits[value & 15U];
}

std::string escaped(const std::string& text, std::size_t most) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        if (at >= most) return result + "...";
        const std::size_t length = character_length(text, at);
        if (length == 0 || is_control(text, at, length)) {
            const std::size_t count = length == 0 ? 1 : length;
            for (std::size_t i = 0; i < count; ++i) result += escaped_byte(text[at + i]);
            at += count;
        } else {
            result += text.substr(at, length);
            at += length;
        }
    }
    return result;
}

}  // namespace

std::string shown_name(const std::string& word) {
    constexpr std::size_t kShown = 60;
    return "'" + escaped(word, kShown) + "'";
}

std::string shown_path(const std::string& path) {
    return escaped(path, path.size());
}

}  // namespace realesrgan
