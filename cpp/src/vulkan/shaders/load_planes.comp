// Writes the colours of planes of YUV to the input ring as values of 0..1: what image/yuv_rows.cpp computes on the
// host, in the same order. Positions beyond the picture's right and lower end mirror it. With UNSHUFFLE r channel
// c * r * r + dy * r + dx of ring pixel (x, y) is channel c of (x * r + dx, y * r + dy).
layout(constant_id = 9) const int SAMPLE_BYTES = 1;  // 1 or 2
layout(constant_id = 10) const int LOW_BITS = 0;      // unused ones below a sample
layout(constant_id = 11) const int KIND = 1;          // 0: luma alone, 1: luma and chroma, 2: green, blue and red
layout(constant_id = 12) const int STEP_X = 2;        // luma samples for each chroma sample
layout(constant_id = 13) const int STEP_Y = 2;
layout(constant_id = 14) const int COSITED_X = 1;     // 1: chroma lies at the first of them, 0: between them
layout(constant_id = 15) const int COSITED_Y = 0;
layout(constant_id = 16) const float LUMA_RANGE = 219.0;
layout(constant_id = 17) const float LUMA_OFFSET = 16.0;
layout(constant_id = 18) const float CHROMA_RANGE = 224.0;
layout(constant_id = 19) const float CHROMA_OFFSET = 128.0;
layout(constant_id = 20) const float RED = 1.0;      // what the second chroma value counts in red
layout(constant_id = 21) const float BLUE = 1.0;     // and the first in blue
layout(constant_id = 22) const float GREEN_OF_RED = 1.0;
layout(constant_id = 23) const float GREEN_OF_BLUE = 1.0;
layout(constant_id = 24) const int UNSHUFFLE = 1;
layout(constant_id = 25) const int DST_PITCH = 16;
layout(constant_id = 26) const int DST_FP32 = 0;

layout(binding = 0) readonly buffer samples_blob { uint samples[]; };
layout(binding = 1) writeonly buffer dst_blob { sfpvec4 dst[]; };

layout(push_constant) uniform parameter
{
    int width;           // of the ring
    int rows;            // ring rows to make
    int dst_row;
    int dst_rows;
    int x0;              // of this dispatch: the first column, and the first of the rows
    int y0;
    int picture_width;   // without padding
    int picture_height;
    int first_row;       // of the picture, in the first of the rows
    int luma_first;      // first row of the planes that is there
    int chroma_first;
    int chroma_rows;
    int chroma_width;
    int first_chroma;    // where the chroma planes begin, in samples
    int second_chroma;
} p;

int mirrored(int i, int length)
{
    if (length == 1) return 0;
    const int phase = i % (2 * (length - 1));
    return phase < length ? phase : 2 * (length - 1) - phase;
}

float sample_at(int index)
{
    if (SAMPLE_BYTES == 2) return float((samples[index / 2] >> (index % 2 * 16) & 0xffffu) >> LOW_BITS);
    return float((samples[index / 4] >> (index % 4 * 8) & 0xffu) >> LOW_BITS);
}

// Twice the place of a luma sample among chroma samples, in luma samples
int doubled(int at, int step, int cosited) { return cosited != 0 ? 2 * at : 2 * at + 1 - step; }

int chroma_before(int doubled, int step) { return doubled < 0 ? -1 : doubled / (2 * step); }

float chroma_behind(int doubled, int step)
{
    return float(doubled - 2 * step * chroma_before(doubled, step)) / float(2 * step);
}

// The chroma value of column k between rows `upper` and `lower`
float chroma_column(int base, int k, int upper, int lower, float behind)
{
    const int column = base + clamp(k, 0, p.chroma_width - 1);
    const float above = sample_at(column + upper * p.chroma_width);
    precise float between = above + (sample_at(column + lower * p.chroma_width) - above) * behind;
    precise float value = (between - CHROMA_OFFSET) / CHROMA_RANGE;
    return value;
}

float chroma(int base, int x, int y)
{
    const int down = doubled(y, STEP_Y, COSITED_Y), row = chroma_before(down, STEP_Y) - p.chroma_first;
    const int upper = clamp(row, 0, p.chroma_rows - 1), lower = clamp(row + 1, 0, p.chroma_rows - 1);
    const float behind = chroma_behind(down, STEP_Y);
    if (STEP_X == 1) return chroma_column(base, x, upper, lower, behind);
    const int across = doubled(x, STEP_X, COSITED_X), k = chroma_before(across, STEP_X);
    const float left = chroma_column(base, k, upper, lower, behind);
    const float right = chroma_column(base, k + 1, upper, lower, behind);
    precise float value = left + (right - left) * chroma_behind(across, STEP_X);
    return value;
}

float luma(int base, int x, int y)
{
    precise float value = (sample_at(base + (y - p.luma_first) * p.picture_width + x) - LUMA_OFFSET) / LUMA_RANGE;
    return value;
}

vec3 colour(int x, int y)
{
    const float first = luma(0, x, y);
    if (KIND == 0) return vec3(first);
    if (KIND == 2) return vec3(luma(p.second_chroma, x, y), first, luma(p.first_chroma, x, y));
    const float cb = chroma(p.first_chroma, x, y), cr = chroma(p.second_chroma, x, y);
    precise float red = first + RED * cr;
    precise float green = first - GREEN_OF_BLUE * cb - GREEN_OF_RED * cr;
    precise float blue = first + BLUE * cb;
    return vec3(red, green, blue);
}

void main()
{
    const int x = p.x0 + int(gl_GlobalInvocationID.x), y = p.y0 + int(gl_GlobalInvocationID.y), c = int(gl_GlobalInvocationID.z) * 4;
    const int area = UNSHUFFLE * UNSHUFFLE;
    if (x >= p.width || y >= p.rows || c >= 3 * area) return;
    vec4 v = vec4(0);
    if (UNSHUFFLE == 1)
    {
        v.rgb = colour(x, p.first_row + y);
        for (int k = 0; k < 3; k++) v[k] = transformed(v[k], k);
    }
    else
    {
        for (int k = 0; k < 4; k++)
        {
            const int plane = (c + k) / area, dy = (c + k) % area / UNSHUFFLE, dx = (c + k) % UNSHUFFLE;
            if (plane >= 3) break;
            const int column = mirrored(x * UNSHUFFLE + dx, p.picture_width);
            v[k] = transformed(colour(column, mirrored(p.first_row + y * UNSHUFFLE + dy, p.picture_height))[plane], plane);
        }
    }
    const int at = pixel4(ring_row(p.dst_row + y, p.dst_rows), x, p.width, DST_PITCH);
    store4(dst, DST_FP32, at + channel4(c, p.width), v);
}
