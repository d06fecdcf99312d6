#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
// An implicit matrix product on cooperative matrices (fp16 in, fp32 sums): rows are pixels next to each other,
// columns output channels. A tap only moves the address of the pixels in shared memory, so they are staged
// once for all nine. A subgroup makes M_TILES * MATRIX_M pixels of a row x N_TILES * MATRIX_N channels, a
// workgroup ROWS x COLUMNS subgroups. MATRIX_M, _N and _K are macros: MoltenVK wants literal shapes.
layout(constant_id = 29) const int M_TILES = 2;
layout(constant_id = 30) const int N_TILES = 2;
layout(constant_id = 31) const int COLUMNS = 1;
layout(constant_id = 32) const int ROWS = 4;
layout(constant_id = 33) const int LANES = 32;  // gl_SubgroupSize is no constant

// the same memory in units of eight channels: 16 bytes
layout(binding = 0) readonly buffer src_units_blob { uvec4 src_units[]; };
layout(binding = 5) readonly buffer weight_units_blob { uvec4 weight_units[]; };

const int CHUNK = 16;  // input channels staged at once: one group of the ring's layout
const int SPAN = COLUMNS * M_TILES * MATRIX_M + 2;
const int CHANNELS = N_TILES * MATRIX_N;
// An odd number of units from one pixel, or one row of weights, to the next: no bank conflicts.
const int PIXEL_UNITS = CHUNK / 8 + 1;
const int TAP_UNITS = CHANNELS / 8 | 1;
shared uvec4 tile[(ROWS + 2) * SPAN * PIXEL_UNITS];
shared uvec4 taps[9 * CHUNK * TAP_UNITS];
shared vec4 result[ROWS * COLUMNS * MATRIX_M * MATRIX_N / 4];

void stage(int t, int x0, int y0, int oc0, int c)
{
    const int width = source_width(), threads = ROWS * COLUMNS * LANES;
    for (int i = t; i < (ROWS + 2) * SPAN * 2; i += threads)
    {
        const int k = i / 2, unit = i % 2;
        const int at = source_pixel(x0 + k % SPAN - 1, y0 + k / SPAN - 1);
        // the tile may reach below the band's last tap, where the ring holds other rows
        const bool inside = at >= 0 && y0 + k / SPAN <= p.rows + 1;
        tile[k * PIXEL_UNITS + unit] = inside ? src_units[(at + channel4(IN_OFFSET + c, width)) / 2 + unit] : uvec4(0);
    }
    for (int i = t; i < 9 * CHUNK * (CHANNELS / 8); i += threads)
    {
        const int row = i / (CHANNELS / 8), unit = i % (CHANNELS / 8), oc = oc0 + unit * 8;
        const int at = (row / CHUNK * WEIGHT_ROWS + c + row % CHUNK) * WEIGHT_PITCH + oc;
        taps[row * TAP_UNITS + unit] = oc < WEIGHT_PITCH ? weight_units[at / 8] : uvec4(0);
    }
}

void main()
{
    const int t = int(gl_LocalInvocationID.x), subgroup = int(gl_SubgroupID), lane = int(gl_SubgroupInvocationID);
    const int row = subgroup / COLUMNS, px = subgroup % COLUMNS * M_TILES * MATRIX_M;
    const int x0 = int(gl_WorkGroupID.x) * (SPAN - 2), y0 = int(gl_WorkGroupID.y) * ROWS;
    const int oc0 = int(gl_WorkGroupID.z) * CHANNELS;

    coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator> sum[M_TILES * N_TILES];
    [[unroll]] for (int i = 0; i < M_TILES * N_TILES; i++)
        sum[i] = coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>(0.0);

    for (int c = 0; c < WEIGHT_ROWS; c += CHUNK)
    {
        stage(t, x0, y0, oc0, c);
        barrier();
        // Not unrolled: a tap is work enough, and software drivers take seconds to compile nine of them.
        for (int ky = 0; ky < 3; ky++)
        for (int kx = 0; kx < 3; kx++)
        for (int k = 0; k < CHUNK; k += MATRIX_K)
        {
            coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> a[M_TILES];
            coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> b[N_TILES];
            [[unroll]] for (int m = 0; m < M_TILES; m++)
                coopMatLoad(a[m], tile, ((row + ky) * SPAN + px + m * MATRIX_M + kx) * PIXEL_UNITS + k / 8,
                            PIXEL_UNITS, gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (int n = 0; n < N_TILES; n++)
                coopMatLoad(b[n], taps, ((ky * 3 + kx) * CHUNK + k) * TAP_UNITS + n * MATRIX_N / 8, TAP_UNITS,
                            gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (int m = 0; m < M_TILES; m++)
                [[unroll]] for (int n = 0; n < N_TILES; n++)
                    sum[m * N_TILES + n] = coopMatMulAdd(a[m], b[n], sum[m * N_TILES + n]);
        }
        barrier();
    }

    // Which lane holds which element is the driver's secret, so the epilogue goes through shared memory: a
    // matrix at a time, in the subgroup's own part of it.
    const int y = y0 + row, own = subgroup * (MATRIX_M * MATRIX_N / 4);
    [[unroll]] for (int i = 0; i < M_TILES * N_TILES; i++)
    {
        coopMatStore(sum[i], result, own, MATRIX_N / 4, gl_CooperativeMatrixLayoutRowMajor);
        subgroupBarrier();
        for (int e = lane; e < MATRIX_M * MATRIX_N / 4; e += LANES)
        {
            const int x = x0 + px + i / N_TILES * MATRIX_M + e / (MATRIX_N / 4);
            const int oc4 = oc0 / 4 + i % N_TILES * (MATRIX_N / 4) + e % (MATRIX_N / 4);
            if (x < p.width && y < p.rows && oc4 * 4 < OUT_CHANNELS) finish_sum(result[own + e], x, y, oc4);
        }
        subgroupBarrier();
    }
}
