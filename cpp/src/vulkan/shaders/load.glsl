// What loading a picture shares: a sample of channel c becomes sample * SCALE + SHIFT of that channel.
layout(constant_id = 0) const int TRANSFORM = 0;  // 0: samples are taken as they are
layout(constant_id = 1) const float SCALE0 = 1.0;
layout(constant_id = 2) const float SHIFT0 = 0.0;
layout(constant_id = 3) const float SCALE1 = 1.0;
layout(constant_id = 4) const float SHIFT1 = 0.0;
layout(constant_id = 5) const float SCALE2 = 1.0;
layout(constant_id = 6) const float SHIFT2 = 0.0;
layout(constant_id = 7) const float SCALE3 = 1.0;
layout(constant_id = 8) const float SHIFT3 = 0.0;

float transformed(float value, int channel)
{
    if (TRANSFORM == 0) return value;
    return value * vec4(SCALE0, SCALE1, SCALE2, SCALE3)[channel] + vec4(SHIFT0, SHIFT1, SHIFT2, SHIFT3)[channel];
}
