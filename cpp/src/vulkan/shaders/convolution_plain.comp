// The reference kernel, and that of large kernels: one invocation makes four channels of one pixel. Local size (groups
// of output channels, pixels, 1), so that neighbours share a source pixel.
const int SIDE = KERNEL < 3 ? 3 : KERNEL, MARGIN = (SIDE - KERNEL) / 2;  // of the weights as they are stored

void make(int x, int y, int oc4)
{
    const int width = source_width();
    vec4 sum = vec4(0);
    for (int tap = 0; tap < KERNEL * KERNEL; tap++)
    {
        const int at = source_pixel(x + tap % KERNEL - KERNEL / 2, y + tap / KERNEL - KERNEL / 2);
        if (at < 0) continue;
        for (int ic = 0; ic < IN_CHANNELS; ic += 4)
        {
            const vec4 v = source4(at + channel4(IN_OFFSET + ic, width));
            const int stored = (tap / KERNEL + MARGIN) * SIDE + tap % KERNEL + MARGIN;
            const int w = (stored * WEIGHT_ROWS + ic) * (WEIGHT_PITCH / 4) + oc4;
            for (int k = 0; k < 4; k++) sum += v[k] * vec4(buffer_ld4(weight, w + k * (WEIGHT_PITCH / 4)));
        }
    }
    finish_sum(sum, x, y, oc4);
}

void main()
{
    const int oc4 = int(gl_GlobalInvocationID.x), x = p.x0 + int(gl_GlobalInvocationID.y), y = int(gl_GlobalInvocationID.z);
    begin_row();
    if (oc4 * 4 < OUT_CHANNELS && x < p.width && y < p.rows) make(x, y, oc4);
    end_row(x - int(gl_LocalInvocationID.y), y);
}
