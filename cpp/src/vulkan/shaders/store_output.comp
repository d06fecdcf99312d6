// The network's result, from its ring to packed samples with the channels side by side. One invocation makes one
// word: four 8-bit samples, two of 16 bits, or a float. Word 0 of the output counts samples that are not finite.
layout(constant_id = 0) const int SAMPLE_BYTES = 1;
layout(constant_id = 1) const int CHANNELS = 3;
layout(constant_id = 2) const int IN_OFFSET = 0;
layout(constant_id = 3) const int SRC_PITCH = 16;
layout(constant_id = 4) const int CLAMP = 1;
layout(constant_id = 5) const int SRC_FP32 = 0;

layout(binding = 0) readonly buffer src_blob { sfpvec4 src[]; };
layout(binding = 1) buffer result_blob { uint result[]; };

layout(push_constant) uniform parameter
{
    int width;
    int rows;
    int src_row;
    int src_rows;
    int stride;  // words between neighbours in the second axis of the dispatch
    int first;   // word of this dispatch
} p;

const int HEADER = 4;              // words before the first sample
const int EACH = 4 / SAMPLE_BYTES;  // samples a word

float network_value(int index)
{
    const int pixel = index / CHANNELS, c = IN_OFFSET + index % CHANNELS;
    const int at = pixel4(ring_row(p.src_row + pixel / p.width, p.src_rows), pixel % p.width, p.width, SRC_PITCH);
    if (SRC_FP32 != 0) return ld4_fp32(src, at + channel4(c, p.width))[c % 4];
    return vec4(buffer_ld4(src, at + channel4(c, p.width)))[c % 4];
}

bool finite(float v) { return (floatBitsToUint(v) & 0x7f800000u) != 0x7f800000u; }

void main()
{
    const int samples = p.rows * p.width * CHANNELS;
    const int word = p.first + int(gl_GlobalInvocationID.y) * p.stride + int(gl_GlobalInvocationID.x);
    uint bits = 0, bad = 0;
    for (int k = 0; k < EACH; k++)
    {
        const int index = word * EACH + k;
        if (index >= samples) break;
        float v = network_value(index);
        if (!finite(v)) bad++;
        if (CLAMP != 0) v = finite(v) ? clamp(v, 0.0, 1.0) : 0.0;
        if (SAMPLE_BYTES == 4) bits = floatBitsToUint(v);
        else if (SAMPLE_BYTES == 2) bits |= uint(floor(v * 65535.0 + 0.5)) << (k * 16);
        else bits |= uint(floor(v * 255.0 + 0.5)) << (k * 8);
    }
    if (bad != 0) atomicAdd(result[0], bad);
    if (word * EACH < samples) result[HEADER + word] = bits;
}
