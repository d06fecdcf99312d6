// How values of the result become its samples: packed, the channels side by side, every row beginning with a whole
// word. SAMPLE_BYTES (1, 2: integers, 4: floats), SAMPLE_CHANNELS and CLAMP are macros.
const int HEADER = 4;               // words before the first row; word 0 counts samples that are not finite
const int EACH = 4 / SAMPLE_BYTES;  // samples a word

int row_words(int width) { return (width * SAMPLE_CHANNELS + EACH - 1) / EACH; }

bool finite(float v) { return (floatBitsToUint(v) & 0x7f800000u) != 0x7f800000u; }

uint sample_bits(float v, inout uint bad)
{
    if (!finite(v)) bad++;
    if (CLAMP != 0) v = finite(v) ? clamp(v, 0.0, 1.0) : 0.0;
    if (SAMPLE_BYTES == 4) return floatBitsToUint(v);
    return uint(floor(v * (SAMPLE_BYTES == 2 ? 65535.0 : 255.0) + 0.5));
}
