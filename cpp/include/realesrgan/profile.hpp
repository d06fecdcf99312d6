#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace realesrgan {

// One fused operation of the row stream, or two convolutions of a dense block that are computed in
// one dispatch: it then has the names and outputs of both, and the second one is empty of
// intervals.
struct ProfiledLayer {
    std::string kind;  // "convolution", "pixel_shuffle", ...
    // Names of the network's layers that it computes, the one that gives it its kind first.
    std::vector<std::string> names;
    int inputs = 0;  // channels
    int outputs = 0;
    double zoom = 1.0;  // width of its result over the picture's
};

// What was done in an interval: by the host up to `take`, by the device from `load` on.
enum class ProfiledWork {
    fill,       // the picture's rows were copied to where the device reads them
    submit,     // a band's commands were recorded and submitted; on the CPU, computed
    wait,       // the host waited for a band
    take,       // the result's rows were copied from where the device wrote them
    load,       // the rows were converted to values
    operation,  // of the layer
    halo,       // rows that the next band needs were copied
    store,      // values were converted to the result's samples
    download,   // a queue of its own copied the result, while others went on
};

// Seconds are counted from the run's begin on the host's clock. A device's clock is placed beside
// it so that no band begins before it was submitted and at least one begins at that moment. Of a
// download only the duration is known: it is placed behind its band and the download before it.
struct ProfiledInterval {
    ProfiledWork work = ProfiledWork::fill;
    int band = 0;        // of all bands of the run, from 0
    int layer = -1;      // index into RunProfile::layers, of an operation
    std::string kernel;  // of the device: the shader, "copy", or the CPU's
    double begin = 0.0;
    double end = 0.0;
    double flops = 0.0;  // multiplications and additions of a convolution, direct
    double bytes = 0.0;  // of ring buffers, read and written, each once; of a download, its own
};

struct RunProfile {
    std::vector<ProfiledLayer> layers;
    std::vector<ProfiledInterval> intervals;  // those of the host and of the device by begin
    int bands = 0;
    bool untimed_downloads = false;  // the queue that downloads has no timestamps
    double seconds = 0.0;            // of the run, as the host saw it
};

}  // namespace realesrgan
