#include "vulkan/kernel_store.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "realesrgan/errors.hpp"
#include "vulkan/operations/dense_pair.hpp"
#include "vulkan/self_test.hpp"

namespace realesrgan::vulkan {

std::optional<Rejection> rejection_of(const Context& context, Storage storage,
                                      const KernelSet& kernels) {
    std::vector<KernelSet> sets = {kernels};
    if (kernels.narrow.text() != kernels.wide.text()) {
        for (const KernelConfig& choice : {kernels.narrow, kernels.wide}) {
            if (choice.half_products > 0) sets.push_back(alone(choice));
        }
    }
    try {
        for (const KernelSet& set : sets) {
            const SelfTestError error = self_test_error(context.index(), storage, set);
            if (!(error.largest <= self_test_limit(storage))) {
                return Rejection{"its results differ from the CPU's"};
            }
            if (rounds_too_often(error, set)) return Rejection{"", true};
        }
        return std::nullopt;
    } catch (const ShaderError&) {
        return Rejection{"the driver cannot build it"};
    }
}

namespace {

std::string note_on(const Context& context, const KernelConfig& choice, Storage storage,
                    const std::string& fault) {
    return std::string("the convolution kernel '") + choice.text() + "' (" +
           (storage == Storage::fp16 ? "fp16" : "fp32") + ") is not used on " + context.name() +
           ": " + fault;
}

void drop(std::vector<KernelConfig>& choices, const KernelConfig& choice) {
    choices.erase(std::remove_if(choices.begin(), choices.end(),
                                 [&](const auto& one) { return one.text() == choice.text(); }),
                  choices.end());
}

// With all that sum as many products or more of the same matrices in fp16, which round no less.
void drop_rounding(std::vector<KernelConfig>& choices, const KernelConfig& choice) {
    choices.erase(std::remove_if(choices.begin(), choices.end(),
                                 [&](const auto& one) {
                                     return one.half_products >= choice.half_products &&
                                            one.shape.m == choice.shape.m &&
                                            one.shape.n == choice.shape.n &&
                                            one.shape.k == choice.shape.k;
                                 }),
                  choices.end());
}

// Whether pairs are the fault of a set that failed its test; then they are left out.
bool pairs_faulty(const Context& context, Storage storage, KernelSet set, const Rejection& fault,
                  std::vector<std::string>& notes) {
    if (!set.pairs || fault.rounding) return false;
    set.pairs = false;
    if (rejection_of(context, storage, set)) return false;
    notes.push_back("convolutions are not computed in pairs (fp16) on " + context.name() + ": " +
                    fault.why);
    return true;
}

// Removes the faulty kernels of a set that failed its test: each that also fails alone, or both if
// only their combination fails.
void drop_faulty(const Context& context, Storage storage, const KernelSet& set,
                 const Rejection& fault, std::vector<KernelConfig>& choices,
                 std::vector<std::string>& notes) {
    using Faulty = std::vector<std::pair<KernelConfig, Rejection>>;
    Faulty faulty;
    if (set.narrow.text() == set.wide.text()) {
        faulty = {{set.wide, fault}};
    } else {
        for (const KernelConfig& choice : {set.narrow, set.wide}) {
            if (auto own = rejection_of(context, storage, alone(choice))) {
                faulty.emplace_back(choice, *own);
            }
        }
        if (faulty.empty()) faulty = {{set.narrow, fault}, {set.wide, fault}};
    }
    for (const auto& [choice, found] : faulty) {
        if (found.rounding) {
            if (choice.half_products > 0) drop_rounding(choices, choice);
        } else {
            notes.push_back(note_on(context, choice, storage, found.why));
            drop(choices, choice);
        }
    }
}

}  // namespace

KernelSet KernelStore::choose(const std::shared_ptr<Context>& context, Storage storage,
                              double seconds, Timings& timings) {
    std::vector<KernelConfig> choices = kernel_configs(*context, storage);
    if (seconds > 0.0) {
        timings = time_kernels(context, storage, choices, seconds);
    }
    std::vector<std::string> notes;
    bool pairs = true;
    while (!choices.empty()) {
        KernelSet set = seconds > 0.0 ? fastest(timings, choices) : alone(choices.front());
        if (seconds == 0.0) set.pairs = can_pair(*context, storage, set.narrow);
        set.pairs = set.pairs && pairs;
        const std::optional<Rejection> fault = rejection_of(*context, storage, set);
        if (!fault) {
            set.notes = notes;
            notices_.insert(notices_.end(), notes.begin(), notes.end());
            write_kernel_record(context->ncnn_device().info, storage, record_of(set));
            return set;
        }
        if (pairs_faulty(*context, storage, set, *fault, notes)) {
            pairs = false;
        } else {
            drop_faulty(*context, storage, set, *fault, choices, notes);
        }
    }
    throw DeviceError("Vulkan device " + context->name() +
                      " computes wrong results with all kernels; update its driver, or "
                      "use another device");
}

KernelSet KernelStore::get(const std::shared_ptr<Context>& context, Storage storage) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = sets_.find(storage);
    if (known != sets_.end()) return known->second;
    const ncnn::GpuInfo& info = context->ncnn_device().info;
    if (const auto record = read_kernel_record(info, storage)) {
        if (const auto set = set_of(*record, kernel_configs(*context, storage))) {
            return sets_[storage] = *set;
        }
    }
    const double seconds = context->is_software() ? 0.0 : kTuningSeconds;
    Timings timings;
    return sets_[storage] = choose(context, storage, seconds, timings);
}

KernelSet KernelStore::tune(const std::shared_ptr<Context>& context, Storage storage,
                            double seconds, Timings& timings) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return sets_[storage] = choose(context, storage, seconds, timings);
}

std::vector<std::string> KernelStore::take_notices() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(notices_, {});
}

}  // namespace realesrgan::vulkan
