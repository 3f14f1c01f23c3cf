// Convolutions with one filter per channel. Arguments: see window.cl. Macros: kernel columns, horizontal stride (the horizontal dilation
// is 1), pixels and channels of an item, of which there are 16 or 4.
#define TM_SPAN ((TM_PIXELS - 1) * TM_STRIDE + TM_COLUMNS)

#if TM_CHANNELS == 16
typedef int16 tm_ints;
#define TM_BYTES(from) convert_int16(vload16(0, from))
#define TM_STORE TM_STORE_BLOCK
#else
typedef int4 tm_ints;
#define TM_BYTES(from) convert_int4(vload4(0, from))
#define TM_STORE(sums, image, row, column, first, count) \
    do { \
        int few[4] = {sums.x, sums.y, sums.z, sums.w}; \
        TM_STORE_FEW(few, image, row, column, first, count); \
    } while (0)
#endif

// TM_CHANNELS channels of TM_PIXELS neighbouring pixels an item: (block of channels, run of pixels, image * rows + row). A row of the
// input is read once for all taps in it.
// weights: [block of channels][kernel row][kernel column][TM_CHANNELS]
kernel void depthwise_run(TM_CONV_ARGUMENTS) {
    int first = get_global_id(0) * TM_CHANNELS, column = get_global_id(1) * TM_PIXELS;
    int image = get_global_id(2) / y_size.y, row = get_global_id(2) % y_size.y;
    if (first >= y_size.w) return;
    global const char *w = weights + first * window.x * TM_COLUMNS;
    tm_ints sums[TM_PIXELS];
    TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) sums[p] = 0;
    for (int ky = 0; ky < window.x; ky++) {
        int y = row * steps.x - pad.x + ky * steps.z;
        tm_ints xs[TM_SPAN];
        TM_UNROLL for (int i = 0; i < TM_SPAN; i++) {
            int x = column * TM_STRIDE - pad.y + i;
            xs[i] = TM_BYTES(tm_pixel(arena + first, border, x_size, x_at, image, y, x));
        }
        TM_UNROLL for (int kx = 0; kx < TM_COLUMNS; kx++) {
            tm_ints weight = TM_BYTES(w + (ky * TM_COLUMNS + kx) * TM_CHANNELS);
            TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) sums[p] += xs[p * TM_STRIDE + kx] * weight;
        }
    }
    int count = min(y_size.w - first, TM_CHANNELS);
    TM_UNROLL for (int p = 0; p < TM_PIXELS; p++)
        if (column + p < y_size.z) TM_STORE(sums[p], image, row, column + p, first, count);
}
