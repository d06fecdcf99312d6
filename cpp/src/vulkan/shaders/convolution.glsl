// What the convolution kernels share: weights, borders, and the epilogue up to the activation.
layout(constant_id = 30) const int WEIGHT_PITCH = 16;  // output channels a row of weights holds
layout(constant_id = 31) const int UPSAMPLE = 1;       // the source is read as its nearest enlargement
layout(constant_id = 32) const int ACTIVATION = 0;     // 1: negative values times the channel's slope, else curved()
layout(constant_id = 33) const int WEIGHT_ROWS = 16;   // input channels a tap's weights hold; or -1
layout(constant_id = 34) const int KERNEL = 3;         // side; weights of a side of 1 are stored as of one of 3

layout(binding = 5) readonly buffer weight_blob { sfpvec4 weight[]; };  // [tap][input][output]
layout(binding = 6) readonly buffer bias_blob { vec4 bias[]; };  // WEIGHT_PITCH biases, as many slopes

int weight_rows() { return WEIGHT_ROWS < 0 ? (in_channels() + 15) / 16 * 16 : WEIGHT_ROWS; }

// Whether the band's taps reach row y0 + y; below and above them the ring holds other rows.
bool in_band(int y) { return y >= -(KERNEL / 2) && y < p.rows + KERNEL / 2; }

int source_width() { return p.width / UPSAMPLE; }

// Group 0 of the source pixel under (x, y0 + y), or -1 outside the picture, where the convolution sees zero
int source_pixel(int x, int y)
{
    const int plane_y = p.y0 + y;
    if (plane_y < 0 || plane_y >= p.height || x < 0 || x >= p.width) return -1;
    const int below = plane_y / UPSAMPLE - p.y0 / UPSAMPLE;
    return pixel4(ring_row(p.src_row + below, p.src_rows), x / UPSAMPLE, source_width(), SRC_PITCH);
}

#if !defined(SAMPLE_BYTES) || defined(ROW_PIXELS)
void finish_sum(vec4 sum, int x, int y, int oc4)
{
    vec4 v = sum + bias[oc4];
    if (ACTIVATION == 1) v = mix(v * bias[WEIGHT_PITCH / 4 + oc4], v, greaterThan(v, vec4(0)));
    if (ACTIVATION > 1)
        for (int i = 0; i < 4; i++) v[i] = curved(v[i], ACTIVATION);
    finish(v, x, y, oc4 * 4);
}
#endif
