#include "vulkan/tuning/kernel_set.hpp"

#include <algorithm>
#include <locale>
#include <sstream>

#include "vulkan/cache/cache_file.hpp"
#include "vulkan/cache/shader_sources.hpp"

namespace realesrgan::vulkan {

namespace {

// Other versions, and other shaders during development, may compute differently.
std::string version_line() {
    std::string text;
    for (const char* shader :
         {"ring", "operation", "convolution", "convolution_plain", "convolution_blocked",
          "matrices", "convolution_matrix", "dense_pair"}) {
        text += shader_source(shader);
    }
    const auto* data = reinterpret_cast<const unsigned char*>(text.data());
    return "realesrgan-vk " REALESRGAN_VK_VERSION " " + hexadecimal(checksum(data, text.size()));
}

constexpr const char* kEnd = "end";  // of a record that was written whole

// The rest of a line that begins with this word.
std::optional<std::string> after(const std::string& line, const std::string& word) {
    if (line.compare(0, word.size() + 1, word + " ") != 0) return std::nullopt;
    return line.substr(word.size() + 1);
}

std::optional<KernelConfig> find(const std::string& text,
                                 const std::vector<KernelConfig>& choices) {
    const auto found = std::find_if(choices.begin(), choices.end(),
                                    [&](const auto& choice) { return choice.text() == text; });
    return found == choices.end() ? std::nullopt : std::optional(*found);
}

int pixels_of(const std::string& digits) {
    constexpr std::size_t kMostDigits = 9;
    const bool number = !digits.empty() && digits.size() <= kMostDigits &&
                        digits.find_first_not_of("0123456789") == std::string::npos;
    return number ? std::stoi(digits) : 0;
}

// Without a locale's decimal comma.
std::string text_of(double seconds) {
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text << seconds;
    return text.str();
}

double seconds_of_text(const std::string& digits) {
    std::istringstream text(digits);
    text.imbue(std::locale::classic());
    double seconds = 0.0;
    return text >> seconds && seconds > 0.0 && seconds < 1.0 ? seconds : 0.0;
}

}  // namespace

const KernelConfig& KernelSet::of(int outputs) const {
    return outputs <= kNarrowOutputs ? narrow : wide;
}

KernelSet alone(const KernelConfig& choice) {
    KernelSet set;
    set.narrow = set.wide = choice;
    return set;
}

KernelRecord record_of(const KernelSet& set) {
    return {set.narrow.text(), set.wide.text(), set.pairs, set.band_pixels,
            set.pixel_seconds, set.tuned,       set.notes};
}

std::optional<KernelSet> set_of(const KernelRecord& record,
                                const std::vector<KernelConfig>& choices) {
    const auto narrow = find(record.narrow, choices);
    const auto wide = find(record.wide, choices);
    if (!narrow || !wide) return std::nullopt;
    return KernelSet{
        *narrow,      *wide,       record.pairs, record.band_pixels, record.pixel_seconds,
        record.tuned, record.notes};
}

std::string kernel_record_path(const ncnn::GpuInfo& info, Storage storage) {
    return cache_file_path(info, storage == Storage::fp16 ? "kernels-fp16" : "kernels-fp32");
}

std::optional<KernelRecord> read_kernel_record(const ncnn::GpuInfo& info, Storage storage) {
    const Bytes bytes = read_cache_file(kernel_record_path(info, storage));
    std::istringstream lines(std::string(bytes.begin(), bytes.end()));
    std::string line;
    if (!std::getline(lines, line) || line != version_line()) return std::nullopt;
    KernelRecord record;
    record.band_pixels = 0;
    while (std::getline(lines, line) && line != kEnd) {
        if (const auto narrow = after(line, "narrow")) record.narrow = *narrow;
        if (const auto wide = after(line, "wide")) record.wide = *wide;
        if (const auto pairs = after(line, "pairs")) record.pairs = *pairs == "yes";
        if (const auto pixels = after(line, "band")) record.band_pixels = pixels_of(*pixels);
        if (const auto time = after(line, "pixel")) record.pixel_seconds = seconds_of_text(*time);
        if (const auto how = after(line, "chosen")) record.tuned = *how == "by time";
        if (const auto note = after(line, "note")) record.notes.push_back(*note);
    }
    const bool whole = line == kEnd && record.band_pixels > 0;
    return whole ? std::optional(record) : std::nullopt;
}

void write_kernel_record(const ncnn::GpuInfo& info, Storage storage, const KernelRecord& record) {
    std::string text = version_line() + "\nnarrow " + record.narrow + "\nwide " + record.wide +
                       "\npairs " + (record.pairs ? "yes" : "no") + "\nband " +
                       std::to_string(record.band_pixels) + "\npixel " +
                       text_of(record.pixel_seconds) + "\nchosen by " +
                       (record.tuned ? "time" : "expectation") + "\n";
    for (const std::string& note : record.notes) text += "note " + note + "\n";
    text += kEnd;
    write_cache_file(kernel_record_path(info, storage), Bytes(text.begin(), text.end()));
}

void remove_kernel_record(const ncnn::GpuInfo& info, Storage storage) {
    remove_cache_file(kernel_record_path(info, storage));
}

}  // namespace realesrgan::vulkan
