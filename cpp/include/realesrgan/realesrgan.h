#ifndef REALESRGAN_REALESRGAN_H
#define REALESRGAN_REALESRGAN_H

/* The C API, for other languages: ten functions and one opaque type.
 *
 * Texts are UTF-8 and end with a zero. Every function may be called from any thread, and one
 * network by several threads at once. What the C++ API throws comes back as a status, with words in
 * realesrgan_last_error. */

#include <stddef.h>
#include <stdint.h>

#include "realesrgan/api.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum realesrgan_status {
    REALESRGAN_OK = 0,
    REALESRGAN_INVALID_ARGUMENT = 1,
    REALESRGAN_MODEL_ERROR = 2,  /* a network file that is missing, damaged or of another kind */
    REALESRGAN_DEVICE_ERROR = 3, /* no such device, a lost one, or one with a wrong result */
    REALESRGAN_OUT_OF_MEMORY = 4,
    REALESRGAN_IMAGE_ERROR = 5, /* a picture that the network cannot take */
    REALESRGAN_CANCELLED = 6,   /* the progress function asked for it */
    REALESRGAN_ERROR = 7        /* anything else */
} realesrgan_status;

/* How one sample is stored: 0..255, 0..65535, or 0..1 as a float. */
typedef enum realesrgan_sample {
    REALESRGAN_U8 = 0,
    REALESRGAN_U16 = 1,
    REALESRGAN_F32 = 2
} realesrgan_sample;

/* How a network is run. realesrgan_default_options fills it; fields that a later version adds come
 * behind these. */
typedef struct realesrgan_options {
    size_t size;           /* of this structure, in bytes */
    int32_t device;        /* index of a Vulkan device; -1: the processor */
    int32_t fp16;          /* not 0: 16-bit storage on a Vulkan device */
    int32_t tile;          /* side in pixels, at least 32; 0: chosen; -1: the whole picture */
    int32_t tta;           /* not 0: the average of eight orientations */
    int32_t threads;       /* of the processor; 0: one for each physical core */
    int32_t runs_at_once;  /* that divide the share of the free memory; at least 1 */
    uint64_t memory_limit; /* bytes a run may use; 0: a share of what is free */
} realesrgan_options;

/* A picture in the caller's memory. Strides are in bytes and may be negative. */
typedef struct realesrgan_image {
    void* data;   /* of the first pixel's first channel; of an input it is only read */
    int32_t type; /* one of realesrgan_sample */
    int32_t width;
    int32_t height;
    int32_t channels;
    ptrdiff_t row_stride;
    ptrdiff_t pixel_stride;
    ptrdiff_t channel_stride;
} realesrgan_image;

typedef struct realesrgan_network realesrgan_network;

/* Called with the completed fraction, 0..1, from the thread that called realesrgan_upscale. A value
 * other than 0 stops the run. */
typedef int (*realesrgan_progress)(double fraction, void* context);

/* Such as "0.1.0". */
REALESRGAN_API const char* realesrgan_version(void);

/* What went wrong in this thread's last call that failed; empty where none did. Valid until the
 * thread's next call. */
REALESRGAN_API const char* realesrgan_last_error(void);

/* How many Vulkan devices there are; 0 where there is no loader, driver or device. */
REALESRGAN_API int32_t realesrgan_device_count(void);

/* Copies the name of a Vulkan device, cut off to fit in `capacity` bytes with its zero. */
REALESRGAN_API realesrgan_status realesrgan_device_name(int32_t index, char* name, size_t capacity);

/* Fills in the defaults: the processor, everything else chosen. */
REALESRGAN_API void realesrgan_default_options(realesrgan_options* options);

/* Loads a network of ncnn's two files; `options` may be null. `network` is null where it fails. */
REALESRGAN_API realesrgan_status realesrgan_open(const char* param_path, const char* bin_path,
                                                 const realesrgan_options* options,
                                                 realesrgan_network** network);

/* Frees a network that no call uses any more; null does nothing. */
REALESRGAN_API void realesrgan_close(realesrgan_network* network);

/* Output pixels for each input pixel along an axis; 0 for null. */
REALESRGAN_API int32_t realesrgan_scale(const realesrgan_network* network);

/* Channels of the pictures that it takes and gives, 3 of most networks; 0 for null. */
REALESRGAN_API int32_t realesrgan_channels(const realesrgan_network* network);

/* Fills `output`, which is realesrgan_scale times as wide and as high as `input`, and may be of
 * another sample type. `progress` may be null; `context` is passed to it. */
REALESRGAN_API realesrgan_status realesrgan_upscale(const realesrgan_network* network,
                                                    const realesrgan_image* input,
                                                    const realesrgan_image* output,
                                                    realesrgan_progress progress, void* context);

#ifdef __cplusplus
}
#endif

#endif
