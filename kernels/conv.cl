// Convolutions for processors, and of any geometry. Arguments: see window.cl.

// One output element an item: (channel, column, image * rows + row). Any geometry.
// weights: [output channel][kernel row][kernel column][input channel of the group]
kernel void conv_plain(TM_CONV_ARGUMENTS) {
    int channel = get_global_id(0), column = get_global_id(1);
    int image = get_global_id(2) / y_size.y, row = get_global_id(2) % y_size.y;
    if (channel >= y_size.w) return;
    int first = channel / window.w * window.z;
    global const char *w = weights + channel * window.x * window.y * window.z;
    int sum = 0;
    for (int ky = 0; ky < window.x; ky++) {
        int y = row * steps.x - pad.x + ky * steps.z;
        for (int kx = 0; kx < window.y; kx++, w += window.z) {
            int x = column * steps.y - pad.y + kx * steps.w;
            bool inside = y >= 0 && y < x_size.y && x >= 0 && x < x_size.z;
            global const uchar *from = arena + tm_at(x_at, image, y, x) + first;
            for (int c = 0; c < window.z; c++) sum += (inside ? from[c] : pad.z) * w[c];
        }
    }
    int other = clamp.w & TM_SUM ? arena[tm_at(other_at, image, row, column) + channel] : 0;
    arena[tm_at(y_at, image, row, column) + channel] =
        tm_finish(sum, channels[channel], clamp, tables, other, numbers, lowest, bounds);
}

#ifdef TM_PIXELS
// 16 output channels of TM_PIXELS neighbouring pixels an item: (group and block of channels, run of pixels, image * rows + row).
// For processors with wide vectors: a weight is a vector of 16 channels, an input byte is broadcast.
// weights: [group][block of 16 outputs][kernel row][kernel column][input channel, padded to 4][16]
kernel void conv_blocks(TM_CONV_ARGUMENTS) {
    int blocks = (window.w + 15) / 16, group = get_global_id(0) / blocks, block = get_global_id(0) % blocks;
    int column = get_global_id(1) * TM_PIXELS;
    int image = get_global_id(2) / y_size.y, row = get_global_id(2) % y_size.y;
    global const char *w = weights + (long)get_global_id(0) * window.x * window.y * pad.w * 16;
    int16 sums[TM_PIXELS];
    TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) sums[p] = 0;
    for (int ky = 0; ky < window.x; ky++) {
        int y = row * steps.x - pad.x + ky * steps.z;
        for (int kx = 0; kx < window.y; kx++, w += pad.w * 16) {
            global const uchar *from[TM_PIXELS];
            TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) {
                int x = (column + p) * steps.y - pad.y + kx * steps.w;
                from[p] = tm_pixel(arena + group * window.z, border, x_size, x_at, image, y, x);
            }
            for (int c = 0; c < pad.w; c += 4) {
                int16 w0 = convert_int16(vload16(c, w)), w1 = convert_int16(vload16(c + 1, w));
                int16 w2 = convert_int16(vload16(c + 2, w)), w3 = convert_int16(vload16(c + 3, w));
                TM_UNROLL for (int p = 0; p < TM_PIXELS; p++) {
                    uint x = as_uint(vload4(0, from[p] + c));
                    sums[p] += (int16)((int)(x & 255)) * w0 + (int16)((int)(x >> 8 & 255)) * w1
                             + (int16)((int)(x >> 16 & 255)) * w2 + (int16)((int)(x >> 24)) * w3;
                }
            }
        }
    }
    int first = group * window.w + block * 16, count = min(window.w - block * 16, 16);
    TM_UNROLL for (int p = 0; p < TM_PIXELS; p++)
        if (column + p < y_size.z) TM_STORE_BLOCK(sums[p], image, row, column + p, first, count);
}
#endif
