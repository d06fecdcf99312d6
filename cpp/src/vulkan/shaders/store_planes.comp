// The network's result, from its ring to planes of YUV: what image/yuv_rows.cpp computes on the host, in the same
// order. One invocation makes one word of a plane: four 8-bit samples, or two of 16 bits. Word 0 of the output counts
// values that are not finite.
layout(constant_id = 0) const int SAMPLE_BYTES = 1;  // 1 or 2
layout(constant_id = 1) const int LOW_BITS = 0;      // unused ones below a sample
layout(constant_id = 2) const int KIND = 1;          // 0: luma alone, 1: luma and chroma, 2: green, blue and red
layout(constant_id = 3) const int STEP_X = 2;        // luma samples for each chroma sample
layout(constant_id = 4) const int STEP_Y = 2;
layout(constant_id = 5) const int COSITED_X = 1;     // 1: chroma lies at the first of them, 0: between them
layout(constant_id = 6) const int COSITED_Y = 0;
layout(constant_id = 7) const float LUMA_RANGE = 219.0;
layout(constant_id = 8) const float LUMA_OFFSET = 16.0;
layout(constant_id = 9) const float CHROMA_RANGE = 224.0;
layout(constant_id = 10) const float CHROMA_OFFSET = 128.0;
layout(constant_id = 11) const float RED = 1.0;      // what the colours count in luma
layout(constant_id = 12) const float GREEN = 1.0;
layout(constant_id = 13) const float BLUE = 1.0;
layout(constant_id = 14) const float OF_BLUE = 1.0;  // what blue less luma counts in the first chroma value
layout(constant_id = 15) const float OF_RED = 1.0;   // and red less luma in the second
layout(constant_id = 16) const float LARGEST = 255.0;
layout(constant_id = 17) const int IN_OFFSET = 0;    // a multiple of 4
layout(constant_id = 18) const int SRC_PITCH = 16;
layout(constant_id = 19) const int SRC_FP32 = 0;

layout(binding = 0) readonly buffer src_blob { sfpvec4 src[]; };
layout(binding = 1) buffer result_blob { uint result[]; };

layout(push_constant) uniform parameter
{
    int width;           // of the ring
    int picture_width;   // without padding
    int picture_height;
    int first_row;       // of the picture: those that are stored
    int rows;
    int src_row;         // of first_row; those before it that chroma needs are in the ring, too
    int src_rows;
    int chroma_first;
    int chroma_rows;
    int chroma_width;
    int luma_words;      // of each plane
    int chroma_words;
    int stride;          // words between neighbours in the second axis of the dispatch
    int first;           // word of this dispatch
} p;

const int HEADER = 4;              // words before the first sample
const int EACH = 4 / SAMPLE_BYTES;  // samples a word

bool finite(float v) { return (floatBitsToUint(v) & 0x7f800000u) != 0x7f800000u; }

vec3 network_values(int x, int y)
{
    const int at = pixel4(ring_row(p.src_row + y - p.first_row, p.src_rows), x, p.width, SRC_PITCH) + channel4(IN_OFFSET, p.width);
    if (SRC_FP32 != 0) return ld4_fp32(src, at).rgb;
    return vec4(buffer_ld4(src, at)).rgb;
}

vec3 clamped(vec3 v)
{
    for (int c = 0; c < 3; c++) v[c] = finite(v[c]) ? clamp(v[c], 0.0, 1.0) : 0.0;
    return v;
}

float luma(vec3 rgb)
{
    precise float value = RED * rgb.r + GREEN * rgb.g + BLUE * rgb.b;
    return value;
}

float chroma_value(int plane, int x, int y)
{
    const vec3 rgb = clamped(network_values(x, y));
    precise float value = plane == 1 ? (rgb.b - luma(rgb)) * OF_BLUE : (rgb.r - luma(rgb)) * OF_RED;
    return value;
}

// What the luma sample at a distance from the first one of a chroma sample counts
float tap(int distance, int step, int cosited)
{
    return cosited != 0 ? float(step - abs(distance)) / float(step * step) : 1.0 / float(step);
}

int first_tap(int step, int cosited) { return cosited != 0 ? 1 - step : 0; }

float chroma(int plane, int column, int row)
{
    const int begin = row * STEP_Y + first_tap(STEP_Y, COSITED_Y), end = row * STEP_Y + STEP_Y - 1;
    const int last = p.picture_height - 1;
    precise float sum = 0.0;
    for (int y = max(begin, 0); y <= min(end, last); y++)
    {
        // The ends repeat.
        precise float weight = 0.0;
        for (int d = y == 0 ? begin : y; d <= (y == last ? end : y); d++) weight += tap(d - row * STEP_Y, STEP_Y, COSITED_Y);
        precise float across = 0.0;
        for (int d = first_tap(STEP_X, COSITED_X); d < STEP_X; d++)
        {
            across += tap(d, STEP_X, COSITED_X) * chroma_value(plane, clamp(column * STEP_X + d, 0, p.picture_width - 1), y);
        }
        sum += weight * across;
    }
    return sum;
}

uint quantized(float value, float range, float offset)
{
    precise float shifted = value * range + offset + 0.5;
    return uint(clamp(shifted, 0.0, LARGEST)) << LOW_BITS;
}

uint luma_sample(int x, int y, inout uint bad)
{
    const vec3 raw = network_values(x, y), rgb = clamped(raw);
    for (int c = 0; c < 3; c++) if (!finite(raw[c])) bad++;
    return quantized(KIND == 2 ? rgb.g : luma(rgb), LUMA_RANGE, LUMA_OFFSET);
}

uint chroma_sample(int plane, int x, int y)
{
    if (KIND == 2) return quantized(clamped(network_values(x, y))[plane == 1 ? 2 : 0], LUMA_RANGE, LUMA_OFFSET);
    return quantized(chroma(plane, x, y), CHROMA_RANGE, CHROMA_OFFSET);
}

void main()
{
    const int word = p.first + int(gl_GlobalInvocationID.y) * p.stride + int(gl_GlobalInvocationID.x);
    if (word >= p.luma_words + 2 * p.chroma_words) return;
    const int beyond = word - p.luma_words;
    const int plane = beyond < 0 ? 0 : beyond < p.chroma_words ? 1 : 2;
    const int at = plane == 0 ? word : beyond - (plane - 1) * p.chroma_words;
    const int columns = plane == 0 ? p.picture_width : p.chroma_width;
    const int samples = plane == 0 ? p.rows * columns : p.chroma_rows * columns;
    uint bits = 0, bad = 0;
    for (int k = 0; k < EACH; k++)
    {
        const int index = at * EACH + k;
        if (index >= samples) break;
        const int x = index % columns, y = index / columns;
        const uint made = plane == 0 ? luma_sample(x, p.first_row + y, bad) : chroma_sample(plane, x, p.chroma_first + y);
        bits |= made << (k * 8 * SAMPLE_BYTES);
    }
    if (bad != 0) atomicAdd(result[0], bad);
    result[HEADER + word] = bits;
}
