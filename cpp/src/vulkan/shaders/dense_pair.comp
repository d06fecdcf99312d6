#ifdef NO_UNROLL
#define UNROLL [[dont_unroll]]
#else
#define UNROLL [[unroll]]
#endif
// Two 3x3 convolutions of a dense block at once: the second reads what the first reads and, behind it, what the first
// writes. Matrices, chunks of channels and the order of the sums are convolution_matrix.comp's. A workgroup makes
// HEIGHT x WIDTH pixels of both, and of the first one also a border of one pixel, for the second. It is 2 x COLUMNS
// subgroups; each makes R_TILES rows of the second and R_TILES + 1 of the first, M_TILES * MATRIX_M pixels long. Both
// have GRID columns, of which the second leaves the last two out.
layout(constant_id = 0) const int INPUTS = 16;    // channels of the first one, a multiple of GROUP
layout(constant_id = 1) const int INPUT = 0;      // their offset
layout(constant_id = 2) const int PITCH = 48;     // channels of the ring
layout(constant_id = 3) const int OUTPUT0 = 16;   // offset of the first one's result: INPUT + INPUTS
layout(constant_id = 4) const int OUTPUT1 = 32;
layout(constant_id = 5) const int SLOPES0 = 0;    // 1: negative values are multiplied by the channel's slope
layout(constant_id = 6) const int SLOPES1 = 0;
layout(constant_id = 7) const int M_TILES = 1;
layout(constant_id = 8) const int N_TILES = 2;    // all output channels
layout(constant_id = 9) const int R_TILES = 2;
layout(constant_id = 10) const int COLUMNS = 2;
layout(constant_id = 11) const int LANES = 32;    // gl_SubgroupSize is no constant
layout(constant_id = 12) const int TILE_UNITS = 1;  // of shared memory, for the source's tile, then for the results

// The ring in units of eight channels (16 bytes).
layout(binding = 0) readonly buffer src_blob { uvec4 src[]; };
layout(binding = 1) writeonly buffer dst_blob { uvec4 dst[]; };
layout(binding = 2) readonly buffer weight0_blob { uvec4 weight0[]; };  // [tap][input][output]
layout(binding = 3) readonly buffer bias0_blob { float bias0[]; };      // biases, as many slopes
layout(binding = 4) readonly buffer weight1_blob { uvec4 weight1[]; };
layout(binding = 5) readonly buffer bias1_blob { float bias1[]; };

layout(push_constant) uniform parameter
{
    int width;
    int height;
    int y0;       // first row to make
    int rows;     // and how many
    int row;      // of the ring, that holds row y0
    int ring_rows;
    int x0;       // first column to make
} p;

const int GROUP = 16;  // channels that lie together in a ring, and are staged at once
const int GRID = COLUMNS * M_TILES * MATRIX_M, WIDTH = GRID - 2;
const int HEIGHT = 2 * R_TILES;
const int SPAN = GRID + 2;  // of the source's tile, which has a border of two pixels
const int CHANNELS = N_TILES * MATRIX_N, UNITS = CHANNELS / 8;
const int THREADS = 2 * COLUMNS * LANES;
// An odd number of units from one pixel, or one row of weights, to the next: no bank conflicts.
const int PIXEL_UNITS = GROUP / 8 + 1;
const int TAP_UNITS = UNITS | 1;
const int TILE = (HEIGHT + 4) * SPAN * 2;  // units staged at once
const int TILE_LOADS = (TILE + THREADS - 1) / THREADS;
shared uvec4 tile[TILE_UNITS];
shared uvec4 taps[9 * GROUP * TAP_UNITS];


// Unit of group 0 of pixel (x, y0 + y)
int pixel_unit(int x, int y) { return pixel4(ring_row(p.row + y, p.ring_rows), x, p.width, PITCH) / 2; }

bool in_picture(int x, int y) { return x >= 0 && x < p.width && p.y0 + y >= 0 && p.y0 + y < p.height; }

// Unit i of the source's tile: where its group 0 lies, or -1 for zeros: outside the picture, and where the ring has
// other rows than the band's.
int tile_source(int i, int x0, int y0)
{
    const int k = i / 2, x = x0 + k % SPAN - 2, y = y0 + k / SPAN - 2;
    const bool inside = i < TILE && in_picture(x, y) && y >= -2 && y < p.rows + 2;
    return inside ? pixel_unit(x, y) + i % 2 : -1;
}

#define STAGE_TAPS(weights, inputs, first) \
    for (int i = t; i < 9 * GROUP * UNITS; i += THREADS) \
    { \
        const int k = i / UNITS; \
        taps[k * TAP_UNITS + i % UNITS] = weights[(k / GROUP * (inputs) + first + k % GROUP) * UNITS + i % UNITS]; \
    }

#define LOAD_TAPS(b, kx, k) \
    B_MATRIX b[3 * N_TILES]; \
    [[unroll]] for (int i = 0; i < 3 * N_TILES; i++) \
        coopMatLoad(b[i], taps, ((i / N_TILES * 3 + kx) * GROUP + k) * TAP_UNITS + i % N_TILES * MATRIX_N / 8, \
                    TAP_UNITS, gl_CooperativeMatrixLayoutRowMajor);

// Adds a chunk of channels to the sums of `rows` rows. `at`: the unit of the first row's first pixel; `span` pixels of
// `pitch` units are a row. Macros, so that the sums stay in registers.
#ifdef NO_UNROLL
// One row at a time, for drivers that take longer to compile unrolled rows than to run them.
#define MULTIPLY(sum, rows, at, span, pitch) \
    for (int kx = 0; kx < 3; kx++) \
    for (int k = 0; k < GROUP; k += MATRIX_K) \
    { \
        LOAD_TAPS(b, kx, k) \
        [[dont_unroll]] for (int r = 0; r < rows * M_TILES; r++) \
        { \
            SUMS row_sum[N_TILES]; \
            HALF_SUMS(half_sum, N_TILES) \
            [[unroll]] for (int n = 0; n < N_TILES; n++) row_sum[n] = sum[r * N_TILES + n]; \
            [[unroll]] for (int ky = 0; ky < 3; ky++) \
            { \
                A_MATRIX a; \
                coopMatLoad(a, tile, at + ((r / M_TILES + ky) * span + r % M_TILES * MATRIX_M + kx) * pitch + k / 8, \
                            pitch, gl_CooperativeMatrixLayoutRowMajor); \
                [[unroll]] for (int n = 0; n < N_TILES; n++) \
                    ADD_PRODUCT(row_sum[n], half_sum[n], a, b[ky * N_TILES + n], ky) \
            } \
            [[unroll]] for (int n = 0; n < N_TILES; n++) sum[r * N_TILES + n] = row_sum[n]; \
        } \
    }
#else
#define MULTIPLY(sum, rows, at, span, pitch) \
    for (int kx = 0; kx < 3; kx++) \
    for (int k = 0; k < GROUP; k += MATRIX_K) \
    { \
        LOAD_TAPS(b, kx, k) \
        HALF_SUMS(half_sum, rows * M_TILES * N_TILES) \
        [[unroll]] for (int r = 0; r < rows + 2; r++) \
            [[unroll]] for (int m = 0; m < M_TILES; m++) \
            { \
                A_MATRIX a; \
                coopMatLoad(a, tile, at + (r * span + m * MATRIX_M + kx) * pitch + k / 8, pitch, \
                            gl_CooperativeMatrixLayoutRowMajor); \
                [[unroll]] for (int ky = 0; ky < 3; ky++) \
                    if (r >= ky && r - ky < rows) \
                        [[unroll]] for (int n = 0; n < N_TILES; n++) \
                        { \
                            const int i = ((r - ky) * M_TILES + m) * N_TILES + n; \
                            ADD_PRODUCT(sum[i], half_sum[i], a, b[ky * N_TILES + n], ky) \
                        } \
            } \
    }
#endif

// Multiplies by slopes and puts the values into the tile, as rows of GRID pixels from row `first` on.
#define FINISH(sum, rows, first, bias, with_slopes) \
    UNROLL for (int n = 0; n < N_TILES; n++) \
    { \
        SUMS slopes; \
        if (with_slopes != 0) coopMatLoad(slopes, bias, CHANNELS + n * MATRIX_N, 0, gl_CooperativeMatrixLayoutRowMajor); \
        UNROLL for (int i = 0; i < rows * M_TILES; i++) \
        { \
            SUMS v = sum[i * N_TILES + n]; \
            if (with_slopes != 0) \
                for (int e = 0; e < v.length(); e++) v[e] = v[e] > 0.0 ? v[e] : v[e] * slopes[e]; \
            const int pixel = (first + i / M_TILES) * GRID + px + i % M_TILES * MATRIX_M; \
            coopMatStore(HALVES(v), tile, pixel * TAP_UNITS + n * MATRIX_N / 8, TAP_UNITS, \
                         gl_CooperativeMatrixLayoutRowMajor); \
        } \
    }

// Writes a result from the tile to the ring, which has a border of `margin` pixels there that is left out. The border
// becomes zero outside the picture.
void write_result(int t, int x0, int y0, int margin, int channel)
{
    for (int i = t; i < (HEIGHT + 2 * margin) * GRID * UNITS; i += THREADS)
    {
        // Neighbours in the ring are written by neighbours: the halves of a group, pixels, groups, rows.
        const int column = i / 2 % GRID, line = i / 2 / GRID / (UNITS / 2), group = i / 2 / GRID % (UNITS / 2);
        const int at = (line * GRID + column) * TAP_UNITS + group * 2 + i % 2;
        const int x = x0 + column - margin, y = y0 + line - margin;
        if (margin > 0 && !in_picture(x, y)) tile[at] = uvec4(0);
        else if (x >= x0 && x < min(x0 + WIDTH, p.width) && y >= y0 && y < min(y0 + HEIGHT, p.rows))
            dst[pixel_unit(x, y) + channel4(channel + group * 16, p.width) / 2 + i % 2] = tile[at];
    }
}

void main()
{
    const int t = int(gl_LocalInvocationID.x), subgroup = int(gl_SubgroupID);
    const int lower = subgroup / COLUMNS, px = subgroup % COLUMNS * M_TILES * MATRIX_M;
    const int x0 = p.x0 + int(gl_WorkGroupID.x) * WIDTH, y0 = int(gl_WorkGroupID.y) * HEIGHT;

    int from[TILE_LOADS];
    [[unroll]] for (int j = 0; j < TILE_LOADS; j++) from[j] = tile_source(t + j * THREADS, x0, y0);
    SUMS sum0[(R_TILES + 1) * M_TILES * N_TILES], sum1[R_TILES * M_TILES * N_TILES];
    UNROLL for (int i = 0; i < (R_TILES + 1) * M_TILES * N_TILES; i++)
        coopMatLoad(sum0[i], bias0, i % N_TILES * MATRIX_N, 0, gl_CooperativeMatrixLayoutRowMajor);
    UNROLL for (int i = 0; i < R_TILES * M_TILES * N_TILES; i++)
        coopMatLoad(sum1[i], bias1, i % N_TILES * MATRIX_N, 0, gl_CooperativeMatrixLayoutRowMajor);

    for (int c = 0; c < INPUTS + CHANNELS; c += GROUP)
    {
        if (c < INPUTS)
        {
            const int group = channel4(INPUT + c, p.width) / 2;
            [[unroll]] for (int j = 0; j < TILE_LOADS; j++)
            {
                const int i = t + j * THREADS;
                if (i < TILE) tile[i / 2 * PIXEL_UNITS + i % 2] = from[j] >= 0 ? src[from[j] + group] : uvec4(0);
            }
            STAGE_TAPS(weight0, INPUTS, c)
            barrier();
            const int at = (lower * (R_TILES + 1) * SPAN + px) * PIXEL_UNITS;
            MULTIPLY(sum0, (R_TILES + 1), at, SPAN, PIXEL_UNITS)
            barrier();
        }
        STAGE_TAPS(weight1, (INPUTS + CHANNELS), c)
        barrier();
        // Source pixel (1, 1) of the tile is the result's (0, 0) of the first one, which the second one's reads first.
        const int span = c < INPUTS ? SPAN : GRID, pitch = c < INPUTS ? PIXEL_UNITS : TAP_UNITS;
        const int at = (lower * R_TILES * span + px) * pitch + (c < INPUTS ? (SPAN + 1) * PIXEL_UNITS : (c - INPUTS) / 8);
        MULTIPLY(sum1, R_TILES, at, span, pitch)
        barrier();
        if (c + GROUP == INPUTS)
        {
            FINISH(sum0, (R_TILES + 1), lower * (R_TILES + 1), bias0, SLOPES0)
            barrier();
            write_result(t, x0, y0, 1, OUTPUT0);
            barrier();
        }
    }
    FINISH(sum1, R_TILES, lower * R_TILES, bias1, SLOPES1)
    barrier();
    write_result(t, x0, y0, 0, OUTPUT1);
}
