// The network's result, from its ring to packed samples. One invocation makes one word: four 8-bit samples, two of
// 16 bits, or a float.
layout(constant_id = 0) const int IN_OFFSET = 0;
layout(constant_id = 1) const int SRC_PITCH = 16;
layout(constant_id = 2) const int SRC_FP32 = 0;

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

float network_value(int x, int y, int c)
{
    const int at = pixel4(ring_row(p.src_row + y, p.src_rows), x, p.width, SRC_PITCH) + channel4(c, p.width);
    if (SRC_FP32 != 0) return ld4_fp32(src, at)[c % 4];
    return vec4(buffer_ld4(src, at))[c % 4];
}

void main()
{
    const int word = p.first + int(gl_GlobalInvocationID.y) * p.stride + int(gl_GlobalInvocationID.x);
    const int y = word / row_words(p.width), first = word % row_words(p.width) * EACH;
    if (y >= p.rows) return;
    uint bits = 0, bad = 0;
    for (int k = 0; k < EACH && first + k < p.width * SAMPLE_CHANNELS; k++)
    {
        const int x = (first + k) / SAMPLE_CHANNELS, c = (first + k) % SAMPLE_CHANNELS;
        bits |= sample_bits(network_value(x, y, IN_OFFSET + c), bad) << (k * 8 * SAMPLE_BYTES);
    }
    if (bad != 0) atomicAdd(result[0], bad);
    result[HEADER + word] = bits;
}
