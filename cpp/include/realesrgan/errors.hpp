#pragma once

#include <stdexcept>

#include "realesrgan/api.h"

namespace realesrgan {

// One family: everything that goes wrong with a valid call. A call that is itself wrong throws
// std::invalid_argument. Each message says what was given, what is possible and what to do.
class REALESRGAN_API Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// A network file that is missing, damaged, or not an image-to-image network.
class REALESRGAN_API ModelError : public Error {
  public:
    using Error::Error;
};

// No such device, a lost device, or a device whose result is not a picture (NaN, all black).
class REALESRGAN_API DeviceError : public Error {
  public:
    using Error::Error;
};

// The smallest plan does not fit the memory there is, or an allocation failed and none smaller is
// left.
class REALESRGAN_API OutOfMemoryError : public Error {
  public:
    using Error::Error;
};

// A picture that cannot be processed: empty, or of a size or channel count the network cannot take.
class REALESRGAN_API ImageError : public Error {
  public:
    using Error::Error;
};

// The progress callback asked to stop.
class REALESRGAN_API Cancelled : public Error {
  public:
    using Error::Error;
};

}  // namespace realesrgan
