// Writes rows of the picture (packed samples, channels side by side) to the input ring as values of 0..1; with
// UNSHUFFLE r channel c * r * r + dy * r + dx of ring pixel (x, y) is channel c of (x * r + dx, y * r + dy).
layout(constant_id = 9) const int SAMPLE_BYTES = 1;  // 1, 2: integers, 4: floats, taken as they are
layout(constant_id = 10) const int CHANNELS = 3;      // of the picture
layout(constant_id = 11) const int UNSHUFFLE = 1;
layout(constant_id = 12) const int DST_PITCH = 16;
layout(constant_id = 13) const int DST_FP32 = 0;

layout(binding = 0) readonly buffer samples_blob { uint samples[]; };
layout(binding = 1) writeonly buffer dst_blob { sfpvec4 dst[]; };

layout(push_constant) uniform parameter
{
    int width;  // of the ring
    int rows;   // ring rows to make
    int dst_row;
    int dst_rows;
    int x0;  // of this dispatch: the first column, and the first of the rows
    int y0;
} p;

float sample_at(int index)
{
    if (SAMPLE_BYTES == 4) return uintBitsToFloat(samples[index]);
    if (SAMPLE_BYTES == 2) return float(samples[index / 2] >> (index % 2 * 16) & 0xffffu) / 65535.0;
    return float(samples[index / 4] >> (index % 4 * 8) & 0xffu) / 255.0;
}

void main()
{
    const int x = p.x0 + int(gl_GlobalInvocationID.x), y = p.y0 + int(gl_GlobalInvocationID.y), c = int(gl_GlobalInvocationID.z) * 4;
    const int area = UNSHUFFLE * UNSHUFFLE;
    if (x >= p.width || y >= p.rows || c >= CHANNELS * area) return;
    vec4 v = vec4(0);
    for (int k = 0; k < 4; k++)
    {
        const int plane = (c + k) / area, dy = (c + k) % area / UNSHUFFLE, dx = (c + k) % UNSHUFFLE;
        if (plane >= CHANNELS) break;
        const int pixel = (y * UNSHUFFLE + dy) * p.width * UNSHUFFLE + x * UNSHUFFLE + dx;
        v[k] = transformed(sample_at(pixel * CHANNELS + plane), plane);
    }
    const int at = pixel4(ring_row(p.dst_row + y, p.dst_rows), x, p.width, DST_PITCH);
    store4(dst, DST_FP32, at + channel4(c, p.width), v);
}
