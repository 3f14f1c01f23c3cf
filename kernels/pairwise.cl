// Sums and products of two quantized tensors, either of which may broadcast (strides of 0) or be a constant. An item is a run
// of channels of the result.
//   a, b     what holds the operands: the arena, or constants
//   steps  = bytes from channel to channel of a and of b
//   lowest = what a stored 0 of a, of b and of the result stands for; 1 if a table follows
//   bounds = smallest and largest result in its own units
#define TM_PAIR_ARGUMENTS \
    global uchar *arena, global const uchar *a, global const uchar *b, global const uchar *restrict table, \
    int4 size, int4 a_at, int4 b_at, int2 steps, int4 y_at, int4 lowest, int2 bounds

#define TM_PAIR \
    TM_RUN(size) \
    uchar16 bytes_a = tm_gather16(a + tm_at(a_at, image, row, column) + channel * steps.x, steps.x, count); \
    uchar16 bytes_b = tm_gather16(b + tm_at(b_at, image, row, column) + channel * steps.y, steps.y, count); \
    int16 own_a = convert_int16(bytes_a) + lowest.x, own_b = convert_int16(bytes_b) + lowest.y; \
    global uchar *y = arena + tm_at(y_at, image, row, column) + channel;

inline void tm_finish_pair(
    float16 sum, int4 lowest, int2 bounds, global const uchar *table, global uchar *y, int count
) {
    sum = fmin(fmax(sum, (float16)(bounds.x)), (float16)(bounds.y));
    uchar16 bytes = convert_uchar16(convert_int16_rte(sum) - lowest.z);
    tm_store16(lowest.w ? tm_look_up16(bytes, table) : bytes, y, count);
}

// numbers = ra, rb, c, unused: fma(a, ra, fma(b, rb, c)), rounded once more
kernel void add_run(TM_PAIR_ARGUMENTS, float4 numbers) {
    TM_PAIR
    float16 sum = fma(convert_float16(own_b), (float16)(numbers.y), (float16)(numbers.z));
    sum = fma(convert_float16(own_a), (float16)(numbers.x), sum);
    tm_finish_pair(sum, lowest, bounds, table, y, count);
}

// numbers = multiplier, zero point of the result, unused, unused; zeros = zero points of a and b, in their own units
kernel void multiply_run(TM_PAIR_ARGUMENTS, float4 numbers, int2 zeros) {
    TM_PAIR
    float16 product = convert_float16((own_a - zeros.x) * (own_b - zeros.y)) * numbers.x;
    tm_finish_pair(product + numbers.y, lowest, bounds, table, y, count);
}
