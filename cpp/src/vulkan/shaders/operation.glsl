// What every operation (convolution, norm, pixel shuffle, resize) shares: its constants 0 to 29, its bindings but
// the weights, the rows of this dispatch, and the epilogue's skips and gate. A constant of -1 means that the push
// constant holds the value, so that one pipeline serves layers that differ in nothing else.
layout(constant_id = 0) const int IN_CHANNELS = 16;   // read of the source ring, a multiple of 4; or -1
layout(constant_id = 1) const int IN_OFFSET = 0;
layout(constant_id = 2) const int SRC_PITCH = 16;     // channels of the source ring
layout(constant_id = 3) const int OUT_CHANNELS = 16;  // written, a multiple of 4
layout(constant_id = 4) const int OUT_OFFSET = 0;     // or -1
layout(constant_id = 5) const int DST_PITCH = 16;
layout(constant_id = 6) const int COPIES = 0;         // 1: the result goes to a second ring, too
layout(constant_id = 7) const int DUPLICATE_OFFSET = 0;
layout(constant_id = 8) const int DUPLICATE_PITCH = 16;
layout(constant_id = 9) const int SKIPS = 0;          // additions or a product, in this order
layout(constant_id = 10) const int SKIP0_OFFSET = 0;
layout(constant_id = 11) const int SKIP0_PITCH = 16;
layout(constant_id = 12) const int SKIP0_UPSAMPLE = 1;
layout(constant_id = 13) const float VALUE0_SCALE = 1.0;
layout(constant_id = 14) const float SKIP0_SCALE = 1.0;
layout(constant_id = 15) const int SKIP1_OFFSET = 0;
layout(constant_id = 16) const int SKIP1_PITCH = 16;
layout(constant_id = 17) const int SKIP1_UPSAMPLE = 1;
layout(constant_id = 18) const float VALUE1_SCALE = 1.0;
layout(constant_id = 19) const float SKIP1_SCALE = 1.0;
layout(constant_id = 20) const int SRC_FP32 = 0;     // 1: that ring holds fp32 whatever the others hold
layout(constant_id = 21) const int DST_FP32 = 0;
layout(constant_id = 22) const int DUPLICATE_FP32 = 0;
layout(constant_id = 23) const int SKIP0_FP32 = 0;
layout(constant_id = 24) const int SKIP1_FP32 = 0;
layout(constant_id = 25) const int GATE = 0;         // 1: the sum is multiplied by sigmoid(v) + GATE_OFFSET, v
layout(constant_id = 26) const float GATE_OFFSET = 0.0;  // being what comes before the skips
layout(constant_id = 27) const int PRODUCT = 0;      // 1: the first skip is a factor
layout(constant_id = 28) const float SHIFT0 = 0.0;   // added with the skips
layout(constant_id = 29) const float SHIFT1 = 0.0;

layout(binding = 0) readonly buffer src_blob { sfpvec4 src[]; };
#ifdef SAMPLE_BYTES
// The last operation writes samples of the result, not a ring. dst_row is the row of y0 there.
layout(binding = 1) buffer result_blob { uint result[]; };
#else
layout(binding = 1) writeonly buffer dst_blob { sfpvec4 dst[]; };
#endif
layout(binding = 2) writeonly buffer duplicate_blob { sfpvec4 duplicate[]; };
layout(binding = 3) readonly buffer skip0_blob { sfpvec4 skip0[]; };
layout(binding = 4) readonly buffer skip1_blob { sfpvec4 skip1[]; };

// ncnn finds the push constants by this name and counts them: scalars of four bytes only. X_row is the ring
// row that holds picture row y0 (for the source and the skips: the row that y0 falls into), X_rows the ring's size.
layout(push_constant) uniform parameter
{
    int width;   // of the output picture
    int height;
    int y0;      // first output row to make
    int rows;    // and how many
    int src_row;
    int src_rows;
    int dst_row;
    int dst_rows;
    int duplicate_row;
    int duplicate_rows;
    int skip0_row;
    int skip0_rows;
    int skip1_row;
    int skip1_rows;
    int in_channels;
    int out_offset;
    int x0;      // first column to make
} p;

int in_channels() { return IN_CHANNELS < 0 ? p.in_channels : IN_CHANNELS; }
int out_offset() { return OUT_OFFSET < 0 ? p.out_offset : OUT_OFFSET; }

vec4 source4(int at)
{
    if (SRC_FP32 != 0) return ld4_fp32(src, at);
    return vec4(buffer_ld4(src, at));
}

// Address of channels c .. c + 3 of the skip pixel that output pixel (x, y0 + y) falls into
int skip4(int x, int y, int c, int row, int rows, int pitch, int upsample)
{
    const int below = (p.y0 + y) / upsample - p.y0 / upsample, width = p.width / upsample;
    return pixel4(ring_row(row + below, rows), x / upsample, width, pitch) + channel4(c, width);
}

vec4 sigmoid(vec4 v) { return 1.0 / (1.0 + exp(-v)); }

// ACTIVATION: 2 SiLU, 3 Mish, 4 GELU, 5 sigmoid; on one value, as matrices need it, too. Mish is v * n / (n + 2)
// with n = e^v (e^v + 2); GELU v / 2 * (1 + erf(v / sqrt(2))), erf by formula 7.1.26 of Abramowitz and Stegun.
float curved(float v, int activation)
{
    if (activation == 3)
    {
        const float power = exp(min(v, 40.0)), n = power * (power + 2.0);
        return v * (n / (n + 2.0));
    }
    if (activation == 4)
    {
        const float x = abs(v) * 0.70710678, t = 1.0 / (1.0 + 0.3275911 * x);
        const float sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
        const float rest = sum * exp(-x * x);
        return v * 0.5 * (v > 0.0 ? 2.0 - rest : rest);
    }
    const float share = 1.0 / (1.0 + exp(-v));
    return activation == 2 ? v * share : share;
}

// The skips and the gate: four channels, from `c` on, of output pixel (x, y0 + y)
vec4 finished(vec4 v, int x, int y, int c)
{
    const vec4 before = v;
    if (SKIPS > 0)
    {
        const int at = skip4(x, y, SKIP0_OFFSET + c, p.skip0_row, p.skip0_rows, SKIP0_PITCH, SKIP0_UPSAMPLE);
        const vec4 term = SKIP0_FP32 != 0 ? ld4_fp32(skip0, at) : vec4(buffer_ld4(skip0, at));
        v = PRODUCT != 0 ? v * term : v * VALUE0_SCALE + term * SKIP0_SCALE + SHIFT0;
    }
    if (SKIPS > 1)
    {
        const int at = skip4(x, y, SKIP1_OFFSET + c, p.skip1_row, p.skip1_rows, SKIP1_PITCH, SKIP1_UPSAMPLE);
        const vec4 term = SKIP1_FP32 != 0 ? ld4_fp32(skip1, at) : vec4(buffer_ld4(skip1, at));
        v = v * VALUE1_SCALE + term * SKIP1_SCALE + SHIFT1;
    }
    return GATE != 0 ? v * (sigmoid(before) + GATE_OFFSET) : v;
}

#ifdef SAMPLE_BYTES

// A workgroup's samples that are not finite: one atomic operation on the result for all of them.
shared uint not_finite;

void count_not_finite(bool first_lane)
{
    barrier();
    if (first_lane && not_finite != 0) atomicAdd(result[0], not_finite);
}

// The samples of one pixel
uvec4 samples(vec4 v)
{
    uint bad = 0;
    uvec4 bits = uvec4(0);
    for (int c = 0; c < SAMPLE_CHANNELS; c++) bits[c] = sample_bits(v[c], bad);
    if (bad != 0) atomicAdd(not_finite, bad);
    return bits;
}

// Samples of pixels next to each other, of row y0 + y from column x0 on, a multiple of four: so they begin with a whole
// word. Those of pixel i are cells[first + i * stride]; `lanes` invocations write their words, this one being `lane`.
#define STORE_SAMPLES(cells, first, stride, pixels, x0, y, lane, lanes) \
    { \
        const int count = min(pixels, p.width - x0) * SAMPLE_CHANNELS; \
        const int at = HEADER + (p.dst_row + y) * row_words(p.width) + x0 * SAMPLE_CHANNELS / EACH; \
        for (int word = lane; word * EACH < count; word += lanes) \
        { \
            uint bits = 0; \
            for (int k = 0; k < EACH && word * EACH + k < count; k++) \
            { \
                const int i = word * EACH + k; \
                bits |= cells[first + i / SAMPLE_CHANNELS * (stride)][i % SAMPLE_CHANNELS] << (k * 8 * SAMPLE_BYTES); \
            } \
            result[at + word] = bits; \
        } \
    }

#ifdef ROW_PIXELS
// A workgroup of ROW_PIXELS invocations that makes as many pixels of a row
shared uvec4 cells[ROW_PIXELS];

int row_lane() { return int(gl_LocalInvocationID.x + gl_LocalInvocationID.y); }

void begin_row()
{
    if (row_lane() == 0) not_finite = 0;
    barrier();
}

void finish(vec4 v, int x, int y, int c) { cells[row_lane()] = samples(finished(v, x, y, c)); }

void end_row(int x0, int y)
{
    count_not_finite(row_lane() == 0);
    STORE_SAMPLES(cells, 0, 1, ROW_PIXELS, x0, y, row_lane(), ROW_PIXELS)
}
#endif

#else

void begin_row() {}
void end_row(int x0, int y) {}

// The skips, the gate, and out
void finish(vec4 v, int x, int y, int c)
{
    v = finished(v, x, y, c);
    const int at = pixel4(ring_row(p.dst_row + y, p.dst_rows), x, p.width, DST_PITCH);
    store4(dst, DST_FP32, at + channel4(out_offset() + c, p.width), v);
    if (COPIES > 0)
    {
        const int duplicate_at = pixel4(ring_row(p.duplicate_row + y, p.duplicate_rows), x, p.width, DUPLICATE_PITCH);
        store4(duplicate, DUPLICATE_FP32, duplicate_at + channel4(DUPLICATE_OFFSET + c, p.width), v);
    }
}

#endif
