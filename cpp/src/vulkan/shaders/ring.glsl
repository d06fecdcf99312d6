// What every shader knows about a ring: [ring row][channels / 16][x][16], no padding columns. Addresses
// count groups of four channels (sfpvec4: ncnn's name for four values as they are stored).

int ring_row(int row, int ring_rows)
{
    // -ring_rows <= row < 2 * ring_rows: cheaper than %, and right for the row above the first one
    return row < 0 ? row + ring_rows : row >= ring_rows ? row - ring_rows : row;
}

// group 0 of pixel x; `pitch` channels a pixel, `width` pixels a row
int pixel4(int row, int x, int width, int pitch) { return (row * (pitch / 16) * width + x) * 4; }

// from there to the group of channel c, a multiple of 4
int channel4(int c, int width) { return (c / 16) * width * 4 + (c % 16) / 4; }

// Tensors whose fp16 rounding error would reach the output undamped hold fp32 even where the others hold fp16. Their
// addresses count groups of four channels, too.
#if NCNN_fp16_packed
#define ld4_fp32(buf, at) vec4(uintBitsToFloat(buf[(at) * 2]), uintBitsToFloat(buf[(at) * 2 + 1]))
#define st4_fp32(buf, at, v) { buf[(at) * 2] = floatBitsToUint((v).xy); buf[(at) * 2 + 1] = floatBitsToUint((v).zw); }
#else
#define ld4_fp32(buf, at) vec4(buffer_ld4(buf, at))
#define st4_fp32(buf, at, v) buffer_st4(buf, at, v)
#endif
#define store4(buf, fp32, at, v) { const int _at = at; if (fp32 != 0) st4_fp32(buf, _at, v) else buffer_st4(buf, _at, v) }
