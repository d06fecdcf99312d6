// A convolution of each channel alone. One invocation makes four channels of one pixel.
void main()
{
    const int x = p.x0 + int(gl_GlobalInvocationID.x), y = int(gl_GlobalInvocationID.y), c = int(gl_GlobalInvocationID.z) * 4;
    if (x >= p.width || y >= p.rows || c >= OUT_CHANNELS) return;
    vec4 sum = vec4(0);
    for (int tap = 0; tap < KERNEL * KERNEL; tap++)
    {
        const int at = source_pixel(x + tap % KERNEL - KERNEL / 2, y + tap / KERNEL - KERNEL / 2);
        if (at < 0) continue;
        sum += source4(at + channel4(IN_OFFSET + c, p.width)) * vec4(buffer_ld4(weight, (tap * WEIGHT_PITCH + c) / 4));
    }
    finish_sum(sum, x, y, c / 4);
}
