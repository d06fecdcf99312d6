// How fast the device multiplies cooperative matrices that are in registers already; with HALF_PRODUCTS the sums are
// fp16, else fp32.
#ifdef HALF_PRODUCTS
#define TOTALS HALVES
#else
#define TOTALS SUMS
#endif
layout(constant_id = 0) const int LANES = 32;     // of a subgroup; gl_SubgroupSize is no constant
layout(constant_id = 1) const int THREADS = 128;  // of a workgroup; never gl_WorkGroupSize here

layout(binding = 0) writeonly buffer result_blob { float result[]; };

layout(push_constant) uniform parameter
{
    int rounds;
} p;

const int A = 2, B = 4;  // matrices of each operand: A * B sums
const int UNITS = MATRIX_M * MATRIX_K / 8 > MATRIX_K * MATRIX_N / 8 ? MATRIX_M * MATRIX_K / 8 : MATRIX_K * MATRIX_N / 8;
shared uvec4 numbers[UNITS];  // eight halves a unit

// Values without a pattern: multipliers of zeros use less power, and a cool device is a faster one.
uint halves(int i)
{
    const uint hash = uint(i) * 2654435761u;
    return packHalf2x16(vec2(hash >> 24, hash >> 16 & 0xffu) / 256.0 - 0.5);
}

void main()
{
    for (int i = int(gl_LocalInvocationID.x); i < UNITS; i += THREADS)
        numbers[i] = uvec4(halves(i * 4), halves(i * 4 + 1), halves(i * 4 + 2), halves(i * 4 + 3));
    barrier();
    A_MATRIX a[A];
    B_MATRIX b[B];
    TOTALS sums[A * B];
    [[unroll]] for (int i = 0; i < A; i++)
    {
        coopMatLoad(a[i], numbers, 0, MATRIX_K / 8, gl_CooperativeMatrixLayoutRowMajor);
        a[i] = a[i] * float16_t(i + 1);  // different, or a compiler could merge them
    }
    [[unroll]] for (int i = 0; i < B; i++)
    {
        coopMatLoad(b[i], numbers, 0, MATRIX_N / 8, gl_CooperativeMatrixLayoutRowMajor);
        b[i] = b[i] * float16_t(i + 1);
    }
    [[unroll]] for (int i = 0; i < A * B; i++) sums[i] = TOTALS(0.0);
    for (int r = 0; r < p.rounds; r++)
    {
        [[unroll]] for (int i = 0; i < A * B; i++) sums[i] = coopMatMulAdd(a[i / B], b[i % B], sums[i]);
        [[unroll]] for (int i = 0; i < A; i++) a[i] = -a[i];  // fp16 sums stay finite
    }
    [[unroll]] for (int i = 1; i < A * B; i++) sums[0] += sums[i];
    const int subgroup = int(gl_WorkGroupID.x) * THREADS / LANES + int(gl_SubgroupID);
    coopMatStore(SUMS(sums[0]), result, subgroup * MATRIX_M * MATRIX_N, MATRIX_N, gl_CooperativeMatrixLayoutRowMajor);
}
