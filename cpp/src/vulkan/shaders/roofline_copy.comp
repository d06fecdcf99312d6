// How fast the device reads and writes memory: a copy, every invocation a few 16-byte units.
layout(binding = 0) readonly buffer from_blob { uvec4 from[]; };
layout(binding = 1) writeonly buffer to_blob { uvec4 to[]; };

layout(push_constant) uniform parameter
{
    int units;
    int stride;  // invocations in all
} p;

void main()
{
    for (int i = int(gl_GlobalInvocationID.x); i < p.units; i += p.stride) to[i] = from[i];
}
