// Convolutions with one filter per channel. Arguments: see window.cl; kernel columns, horizontal stride and the pixels of an item are
// macros, the horizontal dilation is 1.
#define TM_SPAN ((TM_PIXELS - 1) * TM_STRIDE + TM_COLUMNS)

// 16 channels of TM_PIXELS neighbouring pixels an item: (block of channels, run of pixels, image * rows + row). A row of the input is
// read once for all taps in it.
// weights: [block of 16 channels][kernel row][kernel column][16]
kernel void depthwise_blocks(TM_CONV_ARGUMENTS) {
    int first = get_global_id(0) * 16, column = get_global_id(1) * TM_PIXELS;
    int image = get_global_id(2) / y_size.y, row = get_global_id(2) % y_size.y;
    global const char *w = weights + first * window.x * TM_COLUMNS;
    int16 sums[TM_PIXELS];
    TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) sums[p] = 0;
    for (int ky = 0; ky < window.x; ky++) {
        int y = row * steps.x - pad.x + ky * steps.z;
        int16 xs[TM_SPAN];
        TM_UNROLL for (int i = 0; i < TM_SPAN; i++) {
            int x = column * TM_STRIDE - pad.y + i;
            xs[i] = convert_int16(vload16(0, tm_pixel(arena + first, border, x_size, x_at, image, y, x)));
        }
        TM_UNROLL for (int kx = 0; kx < TM_COLUMNS; kx++) {
            int16 weight = convert_int16(vload16(ky * TM_COLUMNS + kx, w));
            TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) sums[p] += xs[p * TM_STRIDE + kx] * weight;
        }
    }
    int count = min(y_size.w - first, 16);
    TM_UNROLL for (int p = 0; p < TM_PIXELS; p++)
        if (column + p < y_size.z) TM_STORE_BLOCK(sums[p], image, row, column + p, first, count);
}

// The same for 4 channels.
// weights: [block of 4 channels][kernel row][kernel column][4]
kernel void depthwise_lanes(TM_CONV_ARGUMENTS) {
    int first = get_global_id(0) * 4, column = get_global_id(1) * TM_PIXELS;
    int image = get_global_id(2) / y_size.y, row = get_global_id(2) % y_size.y;
    if (first >= y_size.w) return;
    global const char *w = weights + first * window.x * TM_COLUMNS;
    int4 sums[TM_PIXELS];
    TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) sums[p] = 0;
    for (int ky = 0; ky < window.x; ky++) {
        int y = row * steps.x - pad.x + ky * steps.z;
        int4 xs[TM_SPAN];
        TM_UNROLL for (int i = 0; i < TM_SPAN; i++) {
            int x = column * TM_STRIDE - pad.y + i;
            uint quad = tm_quad(tm_pixel(arena + first, border, x_size, x_at, image, y, x));
            xs[i] = convert_int4(as_uchar4(quad));
        }
        TM_UNROLL for (int kx = 0; kx < TM_COLUMNS; kx++) {
            int4 weight = convert_int4(vload4(ky * TM_COLUMNS + kx, w));
            TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) sums[p] += xs[p * TM_STRIDE + kx] * weight;
        }
    }
    int count = min(y_size.w - first, 4);
    TM_UNROLL for (int p = 0; p < TM_PIXELS; p++)
        if (column + p < y_size.z) {
            int few[4] = {sums[p].x, sums[p].y, sums[p].z, sums[p].w};
            TM_STORE_FEW(few, image, row, column + p, first, count);
        }
}
