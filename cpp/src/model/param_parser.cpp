#include "model/param_parser.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <locale>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/escape.hpp"
#include "realesrgan/errors.hpp"

namespace realesrgan {
namespace {

constexpr int kMagic = 7767517;
constexpr std::uintmax_t kLargestFile = 8U << 20;  // the official ones have 3 to 117 KB
constexpr int kArrayOffset = -23300;               // "-23310=2,a,b" is the array of id 10
constexpr int kMostIds = 32;                       // ncnn's NCNN_MAX_PARAM_COUNT
constexpr int kMostLayers = 1 << 16;               // the largest official network has 999
constexpr int kMostBlobs = 1 << 17;
constexpr std::size_t kMostValues = 1 << 16;  // of one list

std::optional<int> to_int(const std::string& word) {
    const char* first = word.data() + (word.size() > 1 && word[0] == '+' ? 1 : 0);
    const char* last = word.data() + word.size();
    int value = 0;
    const auto [end, error] = std::from_chars(first, last, value);
    if (error != std::errc() || end != last) {
        return std::nullopt;
    }
    return value;
}

std::optional<float> to_float(const std::string& word) {
    std::istringstream in(word);
    in.imbue(std::locale::classic());  // a decimal point whatever the user's language
    double value = 0;
    if (!(in >> value) || in.peek() != std::istringstream::traits_type::eof() ||
        std::abs(value) > static_cast<double>(std::numeric_limits<float>::max())) {
        return std::nullopt;
    }
    return static_cast<float>(value);
}

// Reads the words of one line in order; `expected` names each in messages.
class Words {
  public:
    Words(const std::string& path, int line, const std::string& text)
        : path_(path), line_(line), in_(text) {}

    bool next(std::string& word) { return static_cast<bool>(in_ >> word); }

    std::string text(const std::string& expected) {
        std::string word;
        if (!next(word)) {
            fail("expected " + expected + ", found the end of the line");
        }
        return word;
    }

    int integer(const std::string& expected, int low, int high) {
        const std::string word = text(expected);
        const std::optional<int> value = to_int(word);
        if (!value || *value < low || *value > high) {
            fail("expected " + expected + ", found " + shown_name(word));
        }
        return *value;
    }

    std::vector<std::string> list(const std::string& expected, int count) {
        std::vector<std::string> words;
        for (int i = 0; i < count; ++i) {
            words.push_back(
                text(expected + " " + std::to_string(i + 1) + " of " + std::to_string(count)));
        }
        return words;
    }

    [[noreturn]] void fail(const std::string& message) const { fail_at(path_, line_, message); }

  private:
    const std::string& path_;
    int line_;
    std::istringstream in_;
};

// The numbers of a list from `text[at]` on. All of them are whole or none is: ncnn takes the type
// of a list from a single element, and would read the others' bits as numbers of that type.
ParamValue read_list(const Words& words, const std::string& word, const std::string& text,
                     std::size_t at) {
    std::vector<int> integers;
    std::vector<float> reals;
    bool whole = true;
    while (at < text.size()) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        const std::string item = text.substr(at, comma - at);
        const std::optional<float> real = to_float(item);
        const std::optional<int> integer = to_int(item);
        if (!real || reals.size() == kMostValues) {
            words.fail(real ? "expected a list of at most 65536 numbers"
                            : "expected numbers in the list, found " + shown_name(word));
        }
        if (reals.empty()) whole = integer.has_value();
        if (whole && !integer) {
            words.fail(
                "expected a list of whole numbers, or one of which all have a decimal point, "
                "found " +
                shown_name(word));
        }
        reals.push_back(*real);
        if (whole) integers.push_back(*integer);
        at = comma + 1;
    }
    if (whole) return integers;
    return reals;
}

std::size_t length(const ParamValue& list) {
    if (const auto* integers = std::get_if<std::vector<int>>(&list)) return integers->size();
    return std::get<std::vector<float>>(list).size();
}

// "COUNT,a,b": the older spelling of a list.
ParamValue read_counted_list(const Words& words, const std::string& word, const std::string& text) {
    const std::size_t comma = std::min(text.find(',', 0), text.size());
    const std::optional<int> count = to_int(text.substr(0, comma));
    const ParamValue list = read_list(words, word, text, comma + 1);
    if (!count || *count < 0 || length(list) != static_cast<std::size_t>(*count)) {
        words.fail("expected as many numbers as the list says, found " + shown_name(word));
    }
    return list;
}

// `value` begins with a quote or a letter; a quoted one may go on over several words.
std::string read_text_value(Words& words, std::string value) {
    if (value[0] != '"') return value;
    for (std::string more; value.size() == 1 || value.back() != '"';) {
        more = words.text("the closing quote of " + shown_name(value));
        value += ' ' + more;
    }
    return value.substr(1, value.size() - 2);
}

bool is_text(const std::string& value) {
    return value[0] == '"' || (value[0] >= 'a' && value[0] <= 'z') ||
           (value[0] >= 'A' && value[0] <= 'Z');
}

ParamValue read_value(Words& words, bool counted_list, const std::string& word,
                      const std::string& value) {
    if (is_text(value)) return read_text_value(words, value);
    if (counted_list) return read_counted_list(words, word, value);
    if (value.find(',') != std::string::npos) return read_list(words, word, value, 0);
    if (const std::optional<int> number = to_int(value)) return *number;
    if (const std::optional<float> real = to_float(value)) return *real;
    words.fail("expected a number after the equals sign, found " + shown_name(word));
}

void read_param(Words& words, const std::string& word, std::map<int, ParamValue>& params) {
    const std::size_t equals = word.find('=');
    const std::optional<int> written = to_int(word.substr(0, equals));
    if (equals == std::string::npos || !written || equals + 1 == word.size()) {
        words.fail("expected a parameter such as 0=64, found " + shown_name(word));
    }
    const bool counted_list = *written <= kArrayOffset;
    const std::int64_t id = counted_list ? std::int64_t{kArrayOffset} - *written : *written;
    if (id < 0 || id >= kMostIds) {
        words.fail("expected a parameter's number from 0 to 31, found " + shown_name(word));
    }
    params[static_cast<int>(id)] = read_value(words, counted_list, word, word.substr(equals + 1));
}

ParamLine read_layer(const std::string& path, int number, const std::string& text) {
    constexpr int kMostLinks = 65536;
    Words words(path, number, text);
    ParamLine layer;
    layer.number = number;
    layer.type = words.text("a layer's type");
    layer.name = words.text("a layer's name");
    const int inputs = words.integer("the number of inputs", 0, kMostLinks);
    const int outputs = words.integer("the number of outputs", 0, kMostLinks);
    layer.inputs = words.list("input", inputs);
    layer.outputs = words.list("output", outputs);
    for (std::string word; words.next(word);) {
        read_param(words, word, layer.params);
    }
    return layer;
}

std::ifstream open_text(const std::string& path) {
    std::error_code error;
    const std::filesystem::path file = std::filesystem::u8path(path);
    if (!std::filesystem::is_regular_file(file, error)) {
        throw ModelError(shown_path(path) + ": no such file; give the path of an ncnn .param file");
    }
    const std::uintmax_t size = std::filesystem::file_size(file, error);
    std::ifstream in(file, std::ios::binary);
    if (error || !in) {
        throw ModelError(shown_path(path) + ": cannot be read; check its permissions");
    }
    if (size == 0) {
        throw ModelError(shown_path(path) + ": the file is empty; download or copy it again");
    }
    if (size > kLargestFile) {
        throw ModelError(shown_path(path) + ": too large for a .param file (" +
                         std::to_string(size) + " bytes); is it the .bin?");
    }
    return in;
}

bool is_blank(const std::string& line) {
    return line.find_first_not_of(" \t\r") == std::string::npos;
}

// Editors on Windows write the mark in front of UTF-8 text, and text as UTF-16.
void skip_byte_order_mark(const std::string& path, std::string& line) {
    const auto begins = [&](std::string_view mark) {
        return line.compare(0, mark.size(), mark) == 0;
    };
    if (begins("\xEF\xBB\xBF")) {
        line.erase(0, 3);
    } else if (begins("\xFF\xFE") || begins("\xFE\xFF") ||
               (line.size() > 1 && (line[0] == '\0') != (line[1] == '\0'))) {
        fail_at(path, 1, "the file is UTF-16 text; save it as UTF-8");
    }
}

}  // namespace

void fail_at(const std::string& path, int line, const std::string& message) {
    throw ModelError(shown_path(path) + ", line " + std::to_string(line) + ": " + message);
}

ParamText read_param_text(const std::string& path) {
    std::ifstream in = open_text(path);
    ParamText text;
    int number = 0;
    int header = 0;
    int layer_count = 0;
    for (std::string line; std::getline(in, line);) {
        ++number;
        if (number == 1) {
            skip_byte_order_mark(path, line);
        }
        if (is_blank(line)) {
            continue;
        }
        Words words(path, number, line);
        if (header == 0) {
            words.integer("7767517, the first line of an ncnn .param file", kMagic, kMagic);
            ++header;
        } else if (header == 1) {
            layer_count = words.integer("the number of layers", 1, kMostLayers);
            text.blob_count = words.integer("the number of blobs", 1, kMostBlobs);
            ++header;
        } else {
            if (text.layers.size() == static_cast<std::size_t>(layer_count)) {
                fail_at(path, number,
                        "expected " + std::to_string(layer_count) + " layers, found " +
                            std::to_string(layer_count + 1) + " or more");
            }
            text.layers.push_back(read_layer(path, number, line));
        }
    }
    if (header < 2) {
        fail_at(path, number + 1, "expected the numbers of layers and blobs, found the end");
    }
    if (text.layers.size() != static_cast<std::size_t>(layer_count)) {
        fail_at(path, number,
                "expected " + std::to_string(layer_count) + " layers, found " +
                    std::to_string(text.layers.size()) + "; the file is truncated or damaged");
    }
    return text;
}

}  // namespace realesrgan
