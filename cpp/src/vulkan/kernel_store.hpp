#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vulkan/tuning/kernel_set.hpp"
#include "vulkan/tuning/kernel_timing.hpp"

namespace realesrgan::vulkan {

// Why kernels cannot be used.
struct Rejection {
    std::string why;
    bool rounding = false;  // it rounds sums in fp16 too often, which is no fault of the driver
};

// Nothing if these kernels can be used. Of two the one with sums in fp16 is tested alone, too: the
// other one's layers would reduce the mean error. Throws DeviceError, OutOfMemoryError.
std::optional<Rejection> rejection_of(const Context& context, Storage storage,
                                      const KernelSet& kernels);

// The kernels of one device: read from its record, or chosen and tested on first use. Thread-safe.
class KernelStore {
  public:
    // Without a record: times the choices (not on a driver that computes on the processor), tries
    // the fastest on a small picture against the reference, drops what is wrong or cannot be built
    // for the next one, and writes the record. Throws DeviceError when nothing is left,
    // OutOfMemoryError.
    KernelSet get(const std::shared_ptr<Context>& context, Storage storage);

    // Measures again, whatever the record says, in about `seconds`, and returns the times.
    KernelSet tune(const std::shared_ptr<Context>& context, Storage storage, double seconds,
                   Timings& timings);

    // Notes on kernels rejected in this process that were not returned before.
    std::vector<std::string> take_notices();

  private:
    KernelSet choose(const std::shared_ptr<Context>& context, Storage storage, double seconds,
                     Timings& timings);

    std::mutex mutex_;
    std::map<Storage, KernelSet> sets_;
    std::vector<std::string> notices_;
};

}  // namespace realesrgan::vulkan
