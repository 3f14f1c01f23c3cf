// Convolutions for graphics processors: dot products of four bytes. Arguments: see window.cl.

#ifdef TM_TILE_STEP
// 64 pixels x 64 output channels a work-group of 16 x 16, 4 x 4 outputs an item: (channels / 4, pixels / 4, group). Pixels are those
// of all images in one row. For graphics processors: both matrices go through local memory, TM_TILE_STEP quads of channels a step.
// weights: [group][block of 64 outputs][kernel row][kernel column][quad of input channels, padded to a step][64] quads
kernel __attribute__((reqd_work_group_size(16, 16, 1))) void conv_tiles(TM_CONV_ARGUMENTS) {
    local uint xs[TM_TILE_STEP][64 + 1], ws[TM_TILE_STEP][64];
    int blocks = (window.w + 63) / 64, group = get_global_id(2);
    int block = get_group_id(0), first_pixel = get_group_id(1) * 64, item = get_local_id(1) * 16 + get_local_id(0);
    int pixels = y_size.x * y_size.y * y_size.z, quads = pad.w / 4;
    global const uint *w = (global const uint *)weights
        + ((long)(group * blocks + block) * window.x * window.y) * quads * 64;
    int sums[4][4];
    TM_UNROLL for (int i = 0; i < 4; i++) TM_UNROLL for (int j = 0; j < 4; j++) sums[i][j] = 0;
    // The pixel whose input this item fetches, and its first quad of each step.
    int fetched = min(first_pixel + item % 64, pixels - 1), line = fetched / y_size.z;
    int image = line / y_size.y, row = line % y_size.y * steps.x - pad.x, column = fetched % y_size.z * steps.y - pad.y;
    for (int tap = 0; tap < window.x * window.y; tap++) {
        global const uchar *from = tm_pixel(arena + group * window.z, border, x_size, x_at, image,
            row + tap / window.y * steps.z, column + tap % window.y * steps.w);
        for (int c = 0; c < quads; c += TM_TILE_STEP) {
            for (int q = item / 64; q < TM_TILE_STEP; q += 4) {
                xs[q][item % 64] = tm_quad(from + (c + q) * 4);
                ws[q][item % 64] = w[(c + q) * 64 + item % 64];
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            TM_UNROLL for (int q = 0; q < TM_TILE_STEP; q++) {
                uint x[4], weight[4];
                TM_UNROLL for (int i = 0; i < 4; i++) x[i] = xs[q][get_local_id(1) * 4 + i];
                TM_UNROLL for (int j = 0; j < 4; j++) weight[j] = ws[q][get_local_id(0) * 4 + j];
                TM_UNROLL for (int i = 0; i < 4; i++)
                    TM_UNROLL for (int j = 0; j < 4; j++) sums[i][j] = tm_dot4(x[i], weight[j], sums[i][j]);
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        w += quads * 64;
    }
    int channel = block * 64 + get_local_id(0) * 4, count = min(window.w - channel, 4);
    TM_UNROLL for (int i = 0; i < 4; i++) {
        int pixel = first_pixel + get_local_id(1) * 4 + i;
        if (pixel < pixels && count > 0)
            TM_STORE_FEW(sums[i], pixel / (y_size.y * y_size.z), pixel / y_size.z % y_size.y, pixel % y_size.z,
                group * window.w + channel, count);
    }
}
#endif

#ifdef TM_LANE_PIXELS
// 4 output channels of TM_LANE_PIXELS neighbouring pixels an item, all in registers: (group and block of 4 channels, run of pixels,
// image * rows + row). For graphics processors without fast local memory.
// weights: [group][block of 4 outputs][kernel row][kernel column][quad of input channels][4] quads
kernel void conv_lanes(TM_CONV_ARGUMENTS) {
    int blocks = (window.w + 3) / 4, group = get_global_id(0) / blocks, block = get_global_id(0) % blocks;
    int first_column = get_global_id(1) * TM_LANE_PIXELS;
    int image = get_global_id(2) / y_size.y, row = get_global_id(2) % y_size.y;
    int quads = pad.w / 4;
    if (group * window.z >= x_size.w) return;
    global const uint *w = (global const uint *)weights + (long)get_global_id(0) * window.x * window.y * quads * 4;
    int sums[TM_LANE_PIXELS][4];
    TM_UNROLL for (int i = 0; i < TM_LANE_PIXELS; i++) TM_UNROLL for (int j = 0; j < 4; j++) sums[i][j] = 0;
    for (int tap = 0; tap < window.x * window.y; tap++, w += quads * 4) {
        global const uchar *from[TM_LANE_PIXELS];
        TM_UNROLL for (int i = 0; i < TM_LANE_PIXELS; i++)
            from[i] = tm_pixel(arena + group * window.z, border, x_size, x_at, image,
                row * steps.x - pad.x + tap / window.y * steps.z,
                (first_column + i) * steps.y - pad.y + tap % window.y * steps.w);
        for (int q = 0; q < quads; q++) {
            uint4 weight = vload4(q, w);
            TM_UNROLL for (int i = 0; i < TM_LANE_PIXELS; i++) {
                uint x = tm_quad(from[i] + q * 4);
                sums[i][0] = tm_dot4(x, weight.x, sums[i][0]);
                sums[i][1] = tm_dot4(x, weight.y, sums[i][1]);
                sums[i][2] = tm_dot4(x, weight.z, sums[i][2]);
                sums[i][3] = tm_dot4(x, weight.w, sums[i][3]);
            }
        }
    }
    int channel = block * 4, count = min(window.w - channel, 4);
    TM_UNROLL for (int i = 0; i < TM_LANE_PIXELS; i++)
        if (first_column + i < y_size.z)
            TM_STORE_FEW(sums[i], image, row, first_column + i, group * window.w + channel, count);
}
#endif
