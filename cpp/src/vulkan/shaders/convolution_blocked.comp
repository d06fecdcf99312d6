#extension GL_EXT_control_flow_attributes : require
// A workgroup of 64 makes TILE_W x TILE_H = 64 pixels x 32 channels, an invocation 8 pixels of
// a row x 4 channels in registers. CHUNK input channels at a time go through shared memory with their weights.
// NO_UNROLL: loops stay loops, for drivers that take longer to compile the unrolled code than to run it.
#ifdef NO_UNROLL
#define OUTER [[dont_unroll]]
#define INNER [[dont_unroll]]
#else
#define OUTER
#define INNER [[unroll]]
#endif
layout(constant_id = 35) const int TILE_W = 16;
layout(constant_id = 36) const int TILE_H = 4;
layout(constant_id = 37) const int CHUNK = 8;  // 8 in fp32, 16 in fp16: under 16 KB either way

const int SPAN = TILE_W + 2;
shared lfpvec4 tile[(TILE_H + 2) * SPAN * CHUNK / 4];
shared lfpvec4 taps[9 * CHUNK * 8];

void stage(int t, int x0, int y0, int oc4_0, int c)
{
    const int width = source_width();
    for (int i = t; i < (TILE_H + 2) * SPAN * (CHUNK / 4); i += 64)
    {
        const int k = i / (CHUNK / 4), ic = c + i % (CHUNK / 4) * 4;
        const int at = source_pixel(x0 + k % SPAN - 1, y0 + k / SPAN - 1);
        if (at >= 0 && in_band(y0 + k / SPAN - 1) && ic < in_channels()) tile[i] = buffer_sm4(src, at + channel4(IN_OFFSET + ic, width));
        else tile[i] = afp2lfpvec4(vec4(0));
    }
    for (int i = t; i < 9 * CHUNK * 8; i += 64)
    {
        const int tap = i / (CHUNK * 8), ic = c + i / 8 % CHUNK, oc4 = oc4_0 + i % 8;
        if (oc4 * 4 < WEIGHT_PITCH && ic < in_channels()) taps[i] = buffer_sm4(weight, (tap * weight_rows() + ic) * (WEIGHT_PITCH / 4) + oc4);
        else taps[i] = afp2lfpvec4(vec4(0));
    }
}

void main()
{
    const int t = int(gl_LocalInvocationID.x);
    const int x0 = p.x0 + int(gl_WorkGroupID.x) * TILE_W, y0 = int(gl_WorkGroupID.y) * TILE_H, oc4_0 = int(gl_WorkGroupID.z) * 8;
    const int oc4 = t % 8, px = (t / 8 % (TILE_W / 8)) * 8, py = t / TILE_W;

    vec4 sum[8];
    [[unroll]] for (int i = 0; i < 8; i++) sum[i] = vec4(0);

    for (int c = 0; c < in_channels(); c += CHUNK)
    {
        stage(t, x0, y0, oc4_0, c);
        barrier();
        OUTER for (int ky = 0; ky < 3; ky++)
        OUTER for (int ic4 = 0; ic4 < CHUNK / 4; ic4++)
        {
            vec4 strip[10];
            [[unroll]] for (int i = 0; i < 10; i++) strip[i] = lfp2afpvec4(tile[((py + ky) * SPAN + px + i) * (CHUNK / 4) + ic4]);
            INNER for (int kx = 0; kx < 3; kx++)
            {
                [[unroll]] for (int k = 0; k < 4; k++)
                {
                    const vec4 w = lfp2afpvec4(taps[((ky * 3 + kx) * CHUNK + ic4 * 4 + k) * 8 + oc4]);
                    [[unroll]] for (int i = 0; i < 8; i++) sum[i] += strip[i][k] * w;
                }
                // registers cannot be indexed: the next pass's values are moved to where this pass's were
                [[unroll]] for (int i = 0; i < 9; i++) strip[i] = strip[i + 1];
            }
        }
        barrier();
    }

    const int y = y0 + py;
    if (y >= p.rows || (oc4_0 + oc4) * 4 >= OUT_CHANNELS) return;
    INNER for (int i = 0; i < 8; i++)
    {
        if (x0 + px + i < p.width) finish_sum(sum[0], x0 + px + i, y, oc4_0 + oc4);
        [[unroll]] for (int k = 0; k < 7; k++) sum[k] = sum[k + 1];
    }
}
