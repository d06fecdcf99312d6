// Resampling by NUMERATOR / DENOMINATOR with half-pixel centres, the border repeated. BICUBIC 1: cubic
// convolution with a = -0.75 (Keys, 1981, with the coefficient PyTorch and OpenCV use); 0: bilinear.
// One invocation makes four channels of one output pixel.
layout(constant_id = 30) const int NUMERATOR = 1;
layout(constant_id = 31) const int DENOMINATOR = 2;
layout(constant_id = 32) const int BICUBIC = 1;

vec4 weights(float t)
{
    if (BICUBIC == 0) return vec4(0, 1 - t, t, 0);
    const float a = -0.75;
    const vec4 d = vec4(1 + t, t, 1 - t, 2 - t);
    const vec4 inner = ((a + 2) * d - (a + 3)) * d * d + 1;
    const vec4 outer = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    return vec4(outer.x, inner.y, inner.z, outer.w);
}

// at * DENOMINATOR / NUMERATOR, rounded down; 32 bits do not hold the product
int reduced(int at)
{
    return at / NUMERATOR * DENOMINATOR + at % NUMERATOR * DENOMINATOR / NUMERATOR;
}

// Position of output `at` in the source as whole pixels and a rest, in exact integer arithmetic
int whole(int at, out float rest)
{
    const int n = (2 * (at % NUMERATOR) + 1) * DENOMINATOR - NUMERATOR, d = 2 * NUMERATOR;
    const int floored = n >= 0 ? n / d : -((-n + d - 1) / d);
    rest = float(n - floored * d) / float(d);
    return at / NUMERATOR * DENOMINATOR + floored;
}

void main()
{
    const int x = p.x0 + int(gl_GlobalInvocationID.x), y = int(gl_GlobalInvocationID.y), c = int(gl_GlobalInvocationID.z) * 4;
    if (x >= p.width || y >= p.rows || c >= OUT_CHANNELS) return;

    const int width = reduced(p.width), height = reduced(p.height);
    float tx, ty;
    const int sx = whole(x, tx), sy = whole(p.y0 + y, ty), base = reduced(p.y0);
    const vec4 wx = weights(tx), wy = weights(ty);
    vec4 sum = vec4(0);
    for (int j = 0; j < 4; j++)
    {
        if (wy[j] == 0) continue;
        const int row = ring_row(p.src_row + clamp(sy - 1 + j, 0, height - 1) - base, p.src_rows);
        vec4 line = vec4(0);
        for (int i = 0; i < 4; i++)
        {
            const int at = pixel4(row, clamp(sx - 1 + i, 0, width - 1), width, SRC_PITCH);
            line += wx[i] * source4((at + channel4(IN_OFFSET + c, width)));
        }
        sum += wy[j] * line;
    }
    finish(sum, x, y, c);
}
