// With a sanitizer libraries stay loaded until the process ends: a Vulkan driver that the loader
// has closed is an unknown module to LeakSanitizer, and what it kept cannot be told from a leak of
// ours.
extern "C" __attribute__((visibility("default"))) int dlclose(void* /*library*/) {
    return 0;
}
