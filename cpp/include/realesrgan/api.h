#ifndef REALESRGAN_API_H
#define REALESRGAN_API_H

/* What the shared library shows of itself; everything else stays inside it. */
#if defined(_WIN32)
#if defined(REALESRGAN_BUILDING_LIBRARY)
#define REALESRGAN_API __declspec(dllexport)
#elif defined(REALESRGAN_SHARED)
#define REALESRGAN_API __declspec(dllimport)
#else
#define REALESRGAN_API
#endif
#else
#define REALESRGAN_API __attribute__((visibility("default")))
#endif

#endif
