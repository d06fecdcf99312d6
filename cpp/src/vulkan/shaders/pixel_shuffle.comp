// Channel c * FACTOR^2 + dy * FACTOR + dx of pixel (x, y) becomes channel c of (x * FACTOR + dx, y * FACTOR + dy),
// counted from row and column PHASE on. One invocation makes four channels of one output pixel.
layout(constant_id = 30) const int FACTOR = 2;
layout(constant_id = 31) const int REAL_CHANNELS = 3;  // of the output; the ring's others are zero
layout(constant_id = 32) const int PHASE = 0;

float source(int x, int y, int c)
{
    const int row = p.y0 + y - PHASE, column = x - PHASE;
    if (row < 0 || column < 0) return 0;
    const int below = row / FACTOR - p.y0 / FACTOR, width = p.width / FACTOR;
    const int from = IN_OFFSET + (c * FACTOR + row % FACTOR) * FACTOR + column % FACTOR;
    const int at = pixel4(ring_row(p.src_row + below, p.src_rows), column / FACTOR, width, SRC_PITCH);
    return source4((at + channel4(from, width)))[from % 4];
}

void main()
{
    const int x = p.x0 + int(gl_GlobalInvocationID.x), y = int(gl_GlobalInvocationID.y), c = int(gl_GlobalInvocationID.z) * 4;
    begin_row();
    if (x < p.width && y < p.rows && c < OUT_CHANNELS)
    {
        vec4 v = vec4(0);
        for (int k = 0; k < 4; k++)
            if (c + k < REAL_CHANNELS) v[k] = source(x, y, c + k);
        finish(v, x, y, c);
    }
    end_row(x - int(gl_LocalInvocationID.x), y);
}
