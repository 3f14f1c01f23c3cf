// What every program starts with. Integer arithmetic wraps and is exact; floats are rounded after every operation, to nearest
// even: nothing may be contracted.
#pragma OPENCL FP_CONTRACT OFF

// A tensor of bytes in the arena is two vectors:
//   size = images, rows, columns, channels
//   at   = offset of the first element, bytes from image to image, from row to row, from column to column
inline int tm_at(int4 at, int image, int row, int column) {
    return at.x + image * at.y + row * at.z + column * at.w;
}

// What becomes of sums (one buffer a step):
//   channels: for each output channel its bias, with the input's zero point folded in, and the bits of its multiplier
//   clamp = smallest byte, largest byte, zero point, flags
#define TM_TABLE 1       // look the byte up in the first table
#define TM_SUM 2         // add another tensor's byte to it
#define TM_SUM_TABLE 4   // look that up in the second table
#define TM_SUM_SECOND 8  // the sum's own operand is its second one

// clamp(rint(float(sum) * multiplier) + zero point). Clamped before it is rounded: bounds are integers and rounding is
// monotone, so that is the same, and no conversion can overflow.
inline int tm_requantize(int sum, float multiplier, int4 clamp) {
    float y = convert_float_rte(sum) * multiplier;
    y = fmin(fmax(y, (float)(clamp.x - clamp.z)), (float)(clamp.y - clamp.z));
    return convert_int_rte(y) + clamp.z;
}

// The quantized addition: two fused multiply-adds, then one rounding.
//   numbers = ra, rb, c, unused
//   lo, hi  = smallest and largest result
inline int tm_add(int a, int b, float4 numbers, int lo, int hi) {
    float y = fma((float)a, numbers.x, fma((float)b, numbers.y, numbers.z));
    return convert_int_rte(fmin(fmax(y, (float)lo), (float)hi));
}

// The end of a convolution or fully connected layer for one element.
//   other: the byte of the other operand of the sum, if there is one
//   lowest = what a stored 0 of the own operand, of the other and of the result stands for, unused
inline uchar tm_finish(
    int sum, int2 channel, int4 clamp, global const uchar *tables,
    int other, float4 numbers, int4 lowest, int2 bounds
) {
    int y = tm_requantize(sum + channel.x, as_float(channel.y), clamp);
    if (clamp.w & TM_TABLE) y = tables[y];
    if (clamp.w & TM_SUM) {
        int own = y + lowest.x, theirs = other + lowest.y;
        y = clamp.w & TM_SUM_SECOND ? tm_add(theirs, own, numbers, bounds.x, bounds.y)
                                    : tm_add(own, theirs, numbers, bounds.x, bounds.y);
        y -= lowest.z;
        if (clamp.w & TM_SUM_TABLE) y = tables[256 + y];
    }
    return (uchar)y;
}

#define TM_UNROLL _Pragma("unroll")

// Up to 16 bytes; those beyond `count` mean nothing.
inline uchar16 tm_load16(global const uchar *from, int count) {
    if (count >= 16) return vload16(0, from);
    uchar bytes[16];
    for (int i = 0; i < 16; i++) bytes[i] = i < count ? from[i] : 0;
    return vload16(0, bytes);
}

inline void tm_store16(uchar16 bytes, global uchar *to, int count) {
    if (count >= 16) {
        vstore16(bytes, 0, to);
        return;
    }
    uchar all[16];
    vstore16(bytes, 0, all);
    for (int i = 0; i < count; i++) to[i] = all[i];
}

inline uchar16 tm_look_up16(uchar16 bytes, global const uchar *table) {
    uchar all[16];
    vstore16(bytes, 0, all);
    for (int i = 0; i < 16; i++) all[i] = table[all[i]];
    return vload16(0, all);
}

inline int16 tm_add16(int16 a, int16 b, float4 numbers, int lo, int hi) {
    float16 y = fma(convert_float16_rte(a), (float16)numbers.x, fma(convert_float16_rte(b), (float16)numbers.y, (float16)numbers.z));
    return convert_int16_rte(fmin(fmax(y, (float16)((float)lo)), (float16)((float)hi)));
}

// tm_requantize of 16 sums, each with a multiplier of its own.
inline uchar16 tm_requantize16(int16 sums, float16 multipliers, int4 clamp) {
    float16 y = convert_float16_rte(sums) * multipliers;
    y = fmin(fmax(y, (float16)((float)(clamp.x - clamp.z))), (float16)((float)(clamp.y - clamp.z)));
    return convert_uchar16(convert_int16_rte(y) + clamp.z);
}

// tm_finish for 16 neighbouring channels.
inline uchar16 tm_finish16(
    int16 sums, global const int2 *channels, int4 clamp, global const uchar *tables,
    uchar16 other, float4 numbers, int4 lowest, int2 bounds
) {
    int16 low = vload16(0, (global const int *)channels), high = vload16(1, (global const int *)channels);
    int16 biases = (int16)(low.even, high.even);
    uchar16 bytes = tm_requantize16(sums + biases, as_float16((int16)(low.odd, high.odd)), clamp);
    if (clamp.w & TM_TABLE) bytes = tm_look_up16(bytes, tables);
    if (clamp.w & TM_SUM) {
        int16 own = convert_int16(bytes) + lowest.x, theirs = convert_int16(other) + lowest.y;
        int16 sum = clamp.w & TM_SUM_SECOND ? tm_add16(theirs, own, numbers, bounds.x, bounds.y)
                                            : tm_add16(own, theirs, numbers, bounds.x, bounds.y);
        bytes = convert_uchar16(sum - lowest.z);
        if (clamp.w & TM_SUM_TABLE) bytes = tm_look_up16(bytes, tables + 256);
    }
    return bytes;
}

// Runs of up to 16 channels of one pixel, one to a work item. Grids are rounded up to whole work-groups; items beyond a tensor
// of this `size` return at once.
#define TM_RUN(size) \
    int channel = 16 * (int)get_global_id(0), column = get_global_id(1), line = get_global_id(2); \
    if (channel >= size.w || column >= size.z || line >= size.x * size.y) return; \
    int count = min(16, size.w - channel), image = line / size.y, row = line % size.y;

// Up to 16 bytes, `step` apart: a step of 0 gives the same byte to all.
inline uchar16 tm_gather16(global const uchar *from, int step, int count) {
    if (step == 1) return tm_load16(from, count);
    if (step == 0) return (uchar16)(from[0]);
    uchar bytes[16];
    for (int i = 0; i < 16; i++) bytes[i] = i < count ? from[i * step] : 0;
    return vload16(0, bytes);
}
