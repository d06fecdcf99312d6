// How fast the device multiplies and adds in fp32: each sum depends only on its own previous step.
layout(binding = 0) writeonly buffer result_blob { float result[]; };

layout(push_constant) uniform parameter
{
    int rounds;
} p;

const int SUMS = 8;  // of four values each

void main()
{
    const float seed = float(gl_LocalInvocationID.x) / 1024.0;
    const vec4 factor = vec4(0.5) + seed, term = vec4(0.25) - seed;
    vec4 sums[SUMS];
    for (int i = 0; i < SUMS; i++) sums[i] = vec4(seed * float(i));
    for (int r = 0; r < p.rounds; r++)
        for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * factor + term;  // one instruction where there is one
    vec4 total = sums[0];
    for (int i = 1; i < SUMS; i++) total += sums[i];
    result[gl_GlobalInvocationID.x] = total.x + total.y + total.z + total.w;
}
