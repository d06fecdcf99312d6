#pragma once

// The whole C++ API.
#include "realesrgan/device.hpp"
#include "realesrgan/errors.hpp"
#include "realesrgan/image.hpp"
#include "realesrgan/plan_report.hpp"
#include "realesrgan/profile.hpp"
#include "realesrgan/rows.hpp"
#include "realesrgan/upscaler.hpp"
#include "realesrgan/yuv.hpp"
