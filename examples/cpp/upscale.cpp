// Upscales a binary PPM file. Usage: upscale NAME.param NAME.bin IN.ppm OUT.ppm
#include <cstddef>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "realesrgan/device.hpp"
#include "realesrgan/upscaler.hpp"

namespace {

// Rows of RGB pixels of 8 bits, packed.
struct Picture {
    int width = 0;
    int height = 0;
    std::vector<std::byte> samples;

    Picture(int columns, int rows)
        : width(columns), height(rows), samples(std::size_t{3} * columns * rows) {}

    realesrgan::MutableImageView view() {
        return {samples.data(),
                realesrgan::SampleType::u8,
                width,
                height,
                3,
                std::ptrdiff_t{3} * width,
                3,
                1};
    }
};

Picture read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    int width = 0;
    int height = 0;
    int white = 0;
    file >> magic >> width >> height >> white;
    if (!file || magic != "P6" || white != 255 || width < 1 || height < 1 || width > 16384 ||
        height > 16384) {
        throw std::runtime_error(path + " is no binary PPM file of 8 bits");
    }
    file.get();  // one white space before the samples
    Picture picture(width, height);
    file.read(reinterpret_cast<char*>(picture.samples.data()),
              static_cast<std::streamsize>(picture.samples.size()));
    if (!file) throw std::runtime_error(path + " ends before its last pixel");
    return picture;
}

void write(const std::string& path, const Picture& picture) {
    std::ofstream file(path, std::ios::binary);
    file << "P6\n" << picture.width << " " << picture.height << "\n255\n";
    file.write(reinterpret_cast<const char*>(picture.samples.data()),
               static_cast<std::streamsize>(picture.samples.size()));
    file.close();
    if (!file) throw std::runtime_error(path + " cannot be written");
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 5) {
        std::cerr << "usage: upscale NAME.param NAME.bin IN.ppm OUT.ppm\n";
        return 2;
    }
    try {
        realesrgan::Options options;
        options.device = realesrgan::kCpuDevice;  // or the index of one of list_devices()
        const realesrgan::Upscaler upscaler(arguments[1], arguments[2], options);
        Picture input = read(arguments[3]);
        const int scale = upscaler.network().scale;
        Picture output(input.width * scale, input.height * scale);
        const realesrgan::MutableImageView from = input.view();
        upscaler.run({from.data, from.type, from.width, from.height, from.channels, from.row_stride,
                      from.pixel_stride, from.channel_stride},
                     output.view(), [](double part) { std::cerr << int(part * 100) << " %\n"; });
        write(arguments[4], output);
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
    return 0;
}
