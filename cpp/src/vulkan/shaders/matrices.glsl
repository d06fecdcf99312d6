#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
// What shaders of cooperative matrices share: fp16 in, fp32 sums. MATRIX_M, _N and _K are macros: MoltenVK wants literal
// shapes.
#define A_MATRIX coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>
#define B_MATRIX coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>
#define SUMS coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define HALVES coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>

// Adds the product of a column's tap ky (0 to 2) to a sum. With HALF_PRODUCTS (1 or 3) that many products are summed in
// fp16 before, in one of HALF_SUMS: GeForce multiplies matrices twice as fast then.
#ifdef HALF_PRODUCTS
#define HALF_SUMS(name, count) HALVES name[count];
#define ADD_PRODUCT(sum, half_sum, a, b, ky) \
    { \
        if (ky % HALF_PRODUCTS == 0) half_sum = HALVES(0.0); \
        half_sum = coopMatMulAdd(a, b, half_sum); \
        if (ky % HALF_PRODUCTS == HALF_PRODUCTS - 1) sum += SUMS(half_sum); \
    }
#else
#define HALF_SUMS(name, count)
#define ADD_PRODUCT(sum, half_sum, a, b, ky) sum = coopMatMulAdd(a, b, sum);
#endif
