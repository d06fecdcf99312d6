// A pixel's channels less their mean, over their deviation, times a weight and plus a bias of each channel. One
// invocation makes one pixel.
layout(constant_id = 35) const int REAL_CHANNELS = 16;  // the ring's others are not counted
layout(constant_id = 36) const float EPSILON = 0.000001;

// 1 for each of the channels from c on that is one
vec4 used(int c)
{
    return vec4(lessThan(ivec4(c) + ivec4(0, 1, 2, 3), ivec4(REAL_CHANNELS)));
}

void main()
{
    const int x = p.x0 + int(gl_GlobalInvocationID.x), y = int(gl_GlobalInvocationID.y);
    if (x >= p.width || y >= p.rows) return;
    const int at = source_pixel(x, y);
    vec4 sum = vec4(0);
    for (int c = 0; c < OUT_CHANNELS; c += 4) sum += source4(at + channel4(IN_OFFSET + c, p.width)) * used(c);
    const float mean = dot(sum, vec4(1)) / float(REAL_CHANNELS);
    vec4 squares = vec4(0);
    for (int c = 0; c < OUT_CHANNELS; c += 4)
    {
        const vec4 off = (source4(at + channel4(IN_OFFSET + c, p.width)) - mean) * used(c);
        squares += off * off;
    }
    const float factor = 1.0 / sqrt(dot(squares, vec4(1)) / float(REAL_CHANNELS) + EPSILON);
    for (int c = 0; c < OUT_CHANNELS; c += 4)
    {
        const vec4 off = source4(at + channel4(IN_OFFSET + c, p.width)) - mean;
        finish_sum(off * factor * vec4(buffer_ld4(weight, c / 4)), x, y, c / 4);
    }
}
