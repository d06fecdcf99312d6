// An implicit matrix product on cooperative matrices: rows are pixels next to each other,
// columns output channels. A tap only moves the address of the pixels in shared memory, so they are staged
// once for all nine. A subgroup makes R_TILES rows of M_TILES * MATRIX_M pixels x N_TILES * MATRIX_N channels, and
// pixels that it has loaded serve all rows whose taps they are; a workgroup is ROWS x COLUMNS subgroups.
layout(constant_id = 35) const int M_TILES = 1;
layout(constant_id = 36) const int N_TILES = 2;
layout(constant_id = 37) const int R_TILES = 4;
layout(constant_id = 38) const int COLUMNS = 1;
layout(constant_id = 39) const int ROWS = 4;
layout(constant_id = 40) const int LANES = 32;  // gl_SubgroupSize is no constant
layout(constant_id = 41) const int WHOLE = 0;   // 1: the epilogue may work on whole matrices
layout(constant_id = 42) const int PREFETCH = 0;   // 1: the next channels are fetched while these are multiplied

// The same memory in units of eight channels (16 bytes), or as matrices are loaded and stored.
layout(binding = 0) readonly buffer src_units_blob { uvec4 src_units[]; };
#ifndef SAMPLE_BYTES
layout(binding = 1) writeonly buffer dst_fp16_blob { float16_t dst_fp16[]; };
layout(binding = 1) writeonly buffer dst_floats_blob { float dst_floats[]; };
#endif
layout(binding = 2) writeonly buffer duplicate_fp16_blob { float16_t duplicate_fp16[]; };
layout(binding = 2) writeonly buffer duplicate_floats_blob { float duplicate_floats[]; };
layout(binding = 3) readonly buffer skip0_fp16_blob { float16_t skip0_fp16[]; };
layout(binding = 3) readonly buffer skip0_floats_blob { float skip0_floats[]; };
layout(binding = 4) readonly buffer skip1_fp16_blob { float16_t skip1_fp16[]; };
layout(binding = 4) readonly buffer skip1_floats_blob { float skip1_floats[]; };
layout(binding = 5) readonly buffer weight_units_blob { uvec4 weight_units[]; };
layout(binding = 6) readonly buffer bias_floats_blob { float bias_floats[]; };

const int GROUP = 16;  // channels that lie together in a ring, and are staged at once
const int SPAN = COLUMNS * M_TILES * MATRIX_M + 2;
const int HEIGHT = ROWS * R_TILES;
const int CHANNELS = N_TILES * MATRIX_N;
const int THREADS = ROWS * COLUMNS * LANES;
// An odd number of units from one pixel, or one row of weights, to the next: no bank conflicts.
const int PIXEL_UNITS = GROUP / 8 + 1;
const int TAP_UNITS = CHANNELS / 8 | 1;
const int TILE_LOADS = ((HEIGHT + 2) * SPAN * 2 + THREADS - 1) / THREADS;
const int TAP_LOADS = (9 * GROUP * (CHANNELS / 8) + THREADS - 1) / THREADS;
shared uvec4 tile[(HEIGHT + 2) * SPAN * PIXEL_UNITS];
shared uvec4 taps[9 * GROUP * TAP_UNITS];


// Unit i of the tile: where its group 0 lies, or -1 for zeros
int tile_source(int i, int x0, int y0)
{
    const int k = i / 2, at = source_pixel(x0 + k % SPAN - 1, y0 + k / SPAN - 1);
    const bool inside = i < (HEIGHT + 2) * SPAN * 2 && at >= 0 && in_band(y0 + k / SPAN - 1);
    return inside ? at / 2 + i % 2 : -1;
}

uvec4 tap_source(int i, int oc0, int c)
{
    const int row = i / (CHANNELS / 8), oc = oc0 + i % (CHANNELS / 8) * 8;
    const int at = (row / GROUP * WEIGHT_ROWS + c + row % GROUP) * WEIGHT_PITCH + oc;
    return row < 9 * GROUP && oc < WEIGHT_PITCH ? weight_units[at / 8] : uvec4(0);
}

void put_tile(int i, uvec4 unit)
{
    if (i < (HEIGHT + 2) * SPAN * 2) tile[i / 2 * PIXEL_UNITS + i % 2] = unit;
}

void put_taps(int i, uvec4 unit)
{
    if (i < 9 * GROUP * (CHANNELS / 8)) taps[i / (CHANNELS / 8) * TAP_UNITS + i % (CHANNELS / 8)] = unit;
}

// Which invocation holds which element is implementation-defined, so elements go through shared memory: a matrix at a
// time, in the subgroup's own part of what was the tile.
#ifdef SAMPLE_BYTES
void finish_elements(SUMS v, int own, int lane, int x0, int y, int oc)
{
    coopMatStore(v, tile, own, MATRIX_N / 4, gl_CooperativeMatrixLayoutRowMajor);
    subgroupBarrier();
    for (int e = lane; e < MATRIX_M; e += LANES)
    {
        const int at = own + e * (MATRIX_N / 4);
        if (x0 + e < p.width && y < p.rows) tile[at] = samples(finished(uintBitsToFloat(tile[at]), x0 + e, y, oc));
    }
    subgroupBarrier();
    if (y < p.rows) STORE_SAMPLES(tile, own, MATRIX_N / 4, MATRIX_M, x0, y, lane, LANES)
    subgroupBarrier();
}
#else
void finish_elements(SUMS v, int own, int lane, int x0, int y, int oc)
{
    coopMatStore(v, tile, own, MATRIX_N / 4, gl_CooperativeMatrixLayoutRowMajor);
    subgroupBarrier();
    for (int e = lane; e < MATRIX_M * MATRIX_N / 4; e += LANES)
    {
        const int x = x0 + e / (MATRIX_N / 4), oc4 = oc / 4 + e % (MATRIX_N / 4);
        if (x < p.width && y < p.rows && oc4 * 4 < OUT_CHANNELS) finish(uintBitsToFloat(tile[own + e]), x, y, oc4 * 4);
    }
    subgroupBarrier();
}

#define LOAD_SKIP(name, at, fp32, term) \
    if (fp32 != 0) coopMatLoad(term, name##_floats, at, 16, gl_CooperativeMatrixLayoutRowMajor); \
    else \
    { \
        HALVES halves; \
        coopMatLoad(halves, name##_fp16, at, 16, gl_CooperativeMatrixLayoutRowMajor); \
        term = SUMS(halves); \
    }
#define STORE(name, at, fp32, v) \
    if (fp32 != 0) coopMatStore(v, name##_floats, at, 16, gl_CooperativeMatrixLayoutRowMajor); \
    else coopMatStore(HALVES(v), name##_fp16, at, 16, gl_CooperativeMatrixLayoutRowMajor);

// finish() for a matrix that lies inside the picture
void finish_matrix(SUMS v, int x, int y, int c)
{
    const SUMS before = v;
    if (SKIPS > 0)
    {
        SUMS term;
        LOAD_SKIP(skip0, skip4(x, y, SKIP0_OFFSET + c, p.skip0_row, p.skip0_rows, SKIP0_PITCH, 1) * 4, SKIP0_FP32, term)
        if (PRODUCT != 0)
            for (int e = 0; e < v.length(); e++) v[e] *= term[e];
        else v = v * VALUE0_SCALE + term * SKIP0_SCALE;
        if (SHIFT0 != 0)
            for (int e = 0; e < v.length(); e++) v[e] += SHIFT0;
    }
    if (SKIPS > 1)
    {
        SUMS term;
        LOAD_SKIP(skip1, skip4(x, y, SKIP1_OFFSET + c, p.skip1_row, p.skip1_rows, SKIP1_PITCH, 1) * 4, SKIP1_FP32, term)
        v = v * VALUE1_SCALE + term * SKIP1_SCALE;
        if (SHIFT1 != 0)
            for (int e = 0; e < v.length(); e++) v[e] += SHIFT1;
    }
    if (GATE != 0)
        for (int e = 0; e < v.length(); e++) v[e] *= 1.0 / (1.0 + exp(-before[e])) + GATE_OFFSET;
    const int at = pixel4(ring_row(p.dst_row + y, p.dst_rows), x, p.width, DST_PITCH) + channel4(OUT_OFFSET + c, p.width);
    STORE(dst, at * 4, DST_FP32, v)
    if (COPIES > 0)
    {
        const int duplicate_at = pixel4(ring_row(p.duplicate_row + y, p.duplicate_rows), x, p.width, DUPLICATE_PITCH) + channel4(DUPLICATE_OFFSET + c, p.width);
        STORE(duplicate, duplicate_at * 4, DUPLICATE_FP32, v)
    }
}
#endif

// From channel `first` on, into main's own registers: a macro, so that they stay that.
#define FETCH(first) \
    { \
        const int group = channel4(IN_OFFSET + first, source_width()) / 2; \
        [[unroll]] for (int j = 0; j < TILE_LOADS; j++) next_tile[j] = from[j] >= 0 ? src_units[from[j] + group] : uvec4(0); \
        [[unroll]] for (int j = 0; j < TAP_LOADS; j++) next_taps[j] = tap_source(t + j * THREADS, oc0, first); \
    }

void main()
{
    const int t = int(gl_LocalInvocationID.x), subgroup = int(gl_SubgroupID), lane = int(gl_SubgroupInvocationID);
    const int row = subgroup / COLUMNS * R_TILES, px = subgroup % COLUMNS * M_TILES * MATRIX_M;
    const int x0 = p.x0 + int(gl_WorkGroupID.x) * (SPAN - 2), y0 = int(gl_WorkGroupID.y) * HEIGHT;
    const int oc0 = int(gl_WorkGroupID.z) * CHANNELS;

    int from[TILE_LOADS];
    [[unroll]] for (int j = 0; j < TILE_LOADS; j++) from[j] = tile_source(t + j * THREADS, x0, y0);
    SUMS sum[R_TILES * M_TILES * N_TILES];
    [[unroll]] for (int i = 0; i < R_TILES * M_TILES * N_TILES; i++)
        coopMatLoad(sum[i], bias_floats, oc0 + i % N_TILES * MATRIX_N, 0, gl_CooperativeMatrixLayoutRowMajor);

#ifdef SAMPLE_BYTES
    if (t == 0) not_finite = 0;  // before the barriers of the loop
#endif
    uvec4 next_tile[TILE_LOADS], next_taps[TAP_LOADS];
    if (PREFETCH != 0) FETCH(0)
    for (int c = 0; c < WEIGHT_ROWS; c += GROUP)
    {
        const int group = channel4(IN_OFFSET + c, source_width()) / 2;
        if (PREFETCH != 0)
        {
            [[unroll]] for (int j = 0; j < TILE_LOADS; j++) put_tile(t + j * THREADS, next_tile[j]);
            [[unroll]] for (int j = 0; j < TAP_LOADS; j++) put_taps(t + j * THREADS, next_taps[j]);
        }
        else
        {
            [[unroll]] for (int j = 0; j < TILE_LOADS; j++)
                put_tile(t + j * THREADS, from[j] >= 0 ? src_units[from[j] + group] : uvec4(0));
            [[unroll]] for (int j = 0; j < TAP_LOADS; j++)
                put_taps(t + j * THREADS, tap_source(t + j * THREADS, oc0, c));
        }
        barrier();
        if (PREFETCH != 0 && c + GROUP < WEIGHT_ROWS) FETCH(c + GROUP)
        // Not unrolled: a column of taps is work enough, and software drivers take seconds to compile three of them.
        for (int kx = 0; kx < 3; kx++)
        for (int k = 0; k < GROUP; k += MATRIX_K)
        {
            B_MATRIX b[3 * N_TILES];
            [[unroll]] for (int i = 0; i < 3 * N_TILES; i++)
                coopMatLoad(b[i], taps, ((i / N_TILES * 3 + kx) * GROUP + k) * TAP_UNITS + i % N_TILES * MATRIX_N / 8,
                            TAP_UNITS, gl_CooperativeMatrixLayoutRowMajor);
            HALF_SUMS(half_sum, R_TILES * M_TILES * N_TILES)
            [[unroll]] for (int r = 0; r < R_TILES + 2; r++)
                [[unroll]] for (int m = 0; m < M_TILES; m++)
                {
                    A_MATRIX a;
                    coopMatLoad(a, tile, ((row + r) * SPAN + px + m * MATRIX_M + kx) * PIXEL_UNITS + k / 8,
                                PIXEL_UNITS, gl_CooperativeMatrixLayoutRowMajor);
                    [[unroll]] for (int ky = 0; ky < 3; ky++)
                        if (r >= ky && r - ky < R_TILES)
                            [[unroll]] for (int n = 0; n < N_TILES; n++)
                            {
                                const int i = ((r - ky) * M_TILES + m) * N_TILES + n;
                                ADD_PRODUCT(sum[i], half_sum[i], a, b[ky * N_TILES + n], ky)
                            }
                }
        }
        barrier();
    }

#ifndef SAMPLE_BYTES
    // The same for all of the workgroup: a subgroup must not wait at a barrier that others never reach.
    const bool inside = WHOLE != 0 && x0 + SPAN - 2 <= p.width && oc0 + CHANNELS <= OUT_CHANNELS;
#endif
    [[unroll]] for (int n = 0; n < N_TILES; n++)
    {
        const int oc = oc0 + n * MATRIX_N;
        SUMS slopes;
        if (ACTIVATION == 1) coopMatLoad(slopes, bias_floats, WEIGHT_PITCH + oc, 0, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (int i = 0; i < R_TILES * M_TILES; i++)
        {
            SUMS v = sum[i * N_TILES + n];
            if (ACTIVATION == 1)
                for (int e = 0; e < v.length(); e++) v[e] = v[e] > 0.0 ? v[e] : v[e] * slopes[e];
            if (ACTIVATION > 1)
                for (int e = 0; e < v.length(); e++) v[e] = curved(v[e], ACTIVATION);
            const int x = x0 + px + i % M_TILES * MATRIX_M, y = y0 + row + i / M_TILES;
#ifndef SAMPLE_BYTES
            if (inside)
            {
                if (y < p.rows) finish_matrix(v, x, y, oc);
                continue;
            }
#endif
            finish_elements(v, subgroup * (MATRIX_M * MATRIX_N / 4), lane, x, y, oc);
        }
    }
#ifdef SAMPLE_BYTES
    count_not_finite(t == 0);
#endif
}
