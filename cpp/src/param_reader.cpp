#include "param_reader.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <locale>
#include <optional>
#include <sstream>

#include "realesrgan/errors.hpp"

namespace realesrgan {
namespace {

constexpr int kMagic = 7767517;
constexpr std::uintmax_t kLargestFile = 64U << 20;  // the official ones have 3 to 117 KB
constexpr int kArrayOffset = -23300;                // "-23310=2,a,b" is the array of id 10
constexpr int kMostBlobs = 1 << 20;

std::string quoted(const std::string& word) {
    constexpr std::size_t kShown = 40;
    std::string shown = "'";
    for (const char c : word.substr(0, kShown)) {
        shown += c >= ' ' && c <= '~' ? c : '?';
    }
    return shown + (word.size() > kShown ? "...'" : "'");
}

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

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

// The words of one line, in order, each asked for with what it ought to be.
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
            fail("expected " + expected + ", found " + quoted(word));
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

std::vector<float> read_array(const Words& words, const std::string& word,
                              const std::vector<std::string>& items, std::size_t first) {
    std::vector<float> values;
    for (std::size_t i = first; i < items.size(); ++i) {
        const std::optional<float> value = to_float(items[i]);
        if (!value) {
            words.fail("expected numbers in the list, found " + quoted(word));
        }
        values.push_back(*value);
    }
    return values;
}

// Text values ("0=bcd") name nothing this core computes with; they are left to ncnn.
bool is_text(const std::string& value) {
    return value[0] == '"' || (value[0] >= 'a' && value[0] <= 'z') ||
           (value[0] >= 'A' && value[0] <= 'Z');
}

void read_param(Words& words, const std::string& word, std::map<int, ParamValue>& params) {
    const std::size_t equals = word.find('=');
    const std::optional<int> id = to_int(word.substr(0, equals));
    if (equals == std::string::npos || !id || equals + 1 == word.size()) {
        words.fail("expected a parameter such as 0=64, found " + quoted(word));
    }
    std::string value = word.substr(equals + 1);
    if (is_text(value)) {
        for (std::string more; value[0] == '"' && (value.size() == 1 || value.back() != '"');) {
            more = words.text("the closing quote of " + quoted(word));
            value += ' ' + more;
        }
        return;
    }
    const std::vector<std::string> items = split(value, ',');
    if (*id <= kArrayOffset) {
        const std::optional<int> count = to_int(items[0]);
        if (!count || *count < 0 || static_cast<std::size_t>(*count) != items.size() - 1) {
            words.fail("expected as many numbers as the list says, found " + quoted(word));
        }
        params[kArrayOffset - *id] = read_array(words, word, items, 1);
    } else if (items.size() > 1) {
        params[*id] = read_array(words, word, items, 0);
    } else if (const std::optional<int> number = to_int(value)) {
        params[*id] = *number;
    } else if (const std::optional<float> real = to_float(value)) {
        params[*id] = *real;
    } else {
        words.fail("expected a number after the equals sign, found " + quoted(word));
    }
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
        throw ModelError(path + ": no such file; give the path of an ncnn .param file");
    }
    const std::uintmax_t size = std::filesystem::file_size(file, error);
    std::ifstream in(file, std::ios::binary);
    if (error || !in) {
        throw ModelError(path + ": cannot be read; check its permissions");
    }
    if (size == 0) {
        throw ModelError(path + ": the file is empty; get it again from where it came");
    }
    if (size > kLargestFile) {
        throw ModelError(path + ": too large for a .param file (" + std::to_string(size) +
                         " bytes); is it the .bin?");
    }
    return in;
}

bool is_blank(const std::string& line) {
    return line.find_first_not_of(" \t\r") == std::string::npos;
}

}  // namespace

void fail_at(const std::string& path, int line, const std::string& message) {
    throw ModelError(path + ", line " + std::to_string(line) + ": " + message);
}

ParamText read_param_text(const std::string& path) {
    std::ifstream in = open_text(path);
    ParamText text;
    int number = 0;
    int header = 0;
    int layer_count = 0;
    for (std::string line; std::getline(in, line);) {
        ++number;
        if (is_blank(line)) {
            continue;
        }
        Words words(path, number, line);
        if (header == 0) {
            words.integer("7767517, the first line of an ncnn .param file", kMagic, kMagic);
            ++header;
        } else if (header == 1) {
            layer_count = words.integer("the number of layers", 1, kMostBlobs);
            text.blob_count = words.integer("the number of blobs", 1, kMostBlobs);
            ++header;
        } else {
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
