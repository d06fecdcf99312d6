#include <cstdlib>
#include <iostream>
#include <thread>

#include "realesrgan/device.hpp"
#include "realesrgan/errors.hpp"
#include "support/check.hpp"
#include "vulkan/instance/bundled_driver.hpp"
#include "vulkan/instance/instance.hpp"

using realesrgan::DeviceError;
using realesrgan::DeviceInfo;
using realesrgan::list_devices;

TEST_CASE("eight threads list the same devices at once") {
    std::vector<std::vector<DeviceInfo>> lists(8);
    std::vector<std::thread> threads;
    for (std::vector<DeviceInfo>& list : lists) {
        threads.emplace_back([&list] { list = list_devices(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const DeviceInfo& device : lists.front()) {
        std::cout << "    driver: " << device.name << ", " << device.driver << '\n';
    }
    for (const std::vector<DeviceInfo>& list : lists) {
        CHECK_EQUAL(list.size(), lists.front().size());
        for (std::size_t i = 0; i < list.size(); ++i) {
            CHECK_EQUAL(list[i].index, static_cast<int>(i));
            CHECK(!list[i].name.empty() && !list[i].driver.empty());
            CHECK(list[i].memory_bytes > 0);
        }
    }
}

TEST_CASE("a device that does not exist is named, with those that do") {
    CHECK_THROWS(DeviceError, std::vector<std::string>{"no Vulkan device 99"},
                 realesrgan::gpu_device(99));
    CHECK_THROWS(DeviceError, std::vector<std::string>{"no Vulkan device -2"},
                 realesrgan::gpu_device(-2));
}

TEST_CASE("threads share one object for a device") {
    if (realesrgan::gpu_count() == 0) {
        throw check::Skip("there is no Vulkan device here");
    }
    std::vector<const ncnn::VulkanDevice*> devices(4);
    std::vector<std::thread> threads;
    for (const ncnn::VulkanDevice*& device : devices) {
        threads.emplace_back([&device] { device = &realesrgan::gpu_device(0); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const ncnn::VulkanDevice* device : devices) {
        CHECK(device == devices.front());
    }
    realesrgan::retire_gpu_device(*devices.front());
    CHECK(&realesrgan::gpu_device(0) != devices.front());  // opened anew after a loss
}

#if !defined(_WIN32)
TEST_CASE("a driver beside the program is found, unless the environment names one") {
    for (const char* variable : {"VK_DRIVER_FILES", "VK_ICD_FILENAMES", "NCNN_VULKAN_DRIVER"}) {
        if (std::getenv(variable) != nullptr) {
            throw check::Skip(std::string("the environment has ") + variable);
        }
    }
    const std::string found = realesrgan::bundled_driver("test_devices");  // this very program
    CHECK_EQUAL(found.substr(found.find_last_of('/') + 1), std::string("test_devices"));
    CHECK_EQUAL(realesrgan::bundled_driver("libMoltenVK.dylib"), std::string());
    setenv("VK_DRIVER_FILES", "a driver", 1);
    CHECK_EQUAL(realesrgan::bundled_driver("test_devices"), std::string());
    unsetenv("VK_DRIVER_FILES");
}
#endif

int main() {
    return check::run_all();
}
