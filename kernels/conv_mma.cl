// Convolutions by the tensor cores of NVIDIA's processors from compute capability 8.0 on. Arguments: see window.cl.
//
// A warp of 32 lanes multiplies 16 rows of 32 unsigned bytes by 8 columns of 32 signed ones; which lane holds what is written in the
// PTX manual under "Matrix fragments for mma.m16n8k32". With g = lane / 4 and t = lane % 4:
//   x:   4 words: bytes 4t.. of rows g and g + 8, then bytes 16 + 4t.. of the same rows
//   w:   2 words: bytes 4t.. and 16 + 4t.. of column g
//   sum: 4 numbers: columns 2t and 2t + 1 of row g, then of row g + 8
// TM_MMA_EMULATED computes the same from the lanes' words in local memory, to test on any device what surrounds the instruction.
#ifdef TM_MMA_EMULATED
#define TM_MMA_SCRATCH local uint all_x[4][32][4], all_w[4][32][2]; int warp = get_local_id(0) / 32;
#define TM_MMA(sum, x, w) \
    do { \
        for (int n = 0; n < 4; n++) all_x[warp][lane][n] = (x)[n]; \
        for (int n = 0; n < 2; n++) all_w[warp][lane][n] = (w)[n]; \
        barrier(CLK_LOCAL_MEM_FENCE); \
        for (int n = 0; n < 4; n++) { \
            int of_row = lane / 4 + n / 2 * 8, of_column = lane % 4 * 2 + n % 2; \
            for (int byte = 0; byte < 32; byte++) { \
                uint a = all_x[warp][of_row % 8 * 4 + byte % 16 / 4][of_row / 8 + byte / 16 * 2]; \
                uint b = all_w[warp][of_column * 4 + byte % 16 / 4][byte / 16]; \
                (sum)[n] += (int)(uchar)(a >> byte % 4 * 8) * (int)(char)(b >> byte % 4 * 8); \
            } \
        } \
        barrier(CLK_LOCAL_MEM_FENCE); \
    } while (0)
#else
#define TM_MMA_SCRATCH
#define TM_MMA(sum, x, w) \
    TM_ASM("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
        : "+r"((sum)[0]), "+r"((sum)[1]), "+r"((sum)[2]), "+r"((sum)[3]) \
        : "r"((x)[0]), "r"((x)[1]), "r"((x)[2]), "r"((x)[3]), "r"((w)[0]), "r"((w)[1]))
#endif

// 64 pixels x 64 output channels a work-group of 4 warps, 32 x 32 a warp: (channels * 2, pixels / 64, group). Pixels are those of all
// images in one row.
// weights: as those of conv_tiles, in steps of 8 quads
kernel __attribute__((reqd_work_group_size(128, 1, 1))) void conv_mma(TM_CONV_ARGUMENTS) {
    local uint xs[64][8 + 1], ws[64][8 + 1]; // a word between rows, so that the lanes of a warp read different banks
    TM_MMA_SCRATCH
    int item = get_local_id(0), lane = item % 32, row_of_warp = item / 64 * 32, column_of_warp = item / 32 % 2 * 32;
    int blocks = (window.w + 63) / 64, group = get_global_id(2), block = get_group_id(0), first_pixel = get_group_id(1) * 64;
    int pixels = y_size.x * y_size.y * y_size.z, quads = pad.w / 4;
    global const uint *w = (global const uint *)weights
        + ((long)(group * blocks + block) * window.x * window.y) * quads * 64;
    int sums[2][4][4];
    TM_UNROLL for (int i = 0; i < 2; i++) TM_UNROLL for (int j = 0; j < 4; j++) TM_UNROLL for (int k = 0; k < 4; k++) sums[i][j][k] = 0;
    // The pixel whose input this item fetches.
    int fetched = min(first_pixel + item % 64, pixels - 1), line = fetched / y_size.z;
    int image = line / y_size.y, row = line % y_size.y * steps.x - pad.x, column = fetched % y_size.z * steps.y - pad.y;
    for (int tap = 0; tap < window.x * window.y; tap++, w += quads * 64) {
        global const uchar *from = tm_pixel(arena + group * window.z, border, x_size, x_at, image,
            row + tap / window.y * steps.z, column + tap % window.y * steps.w);
        for (int c = 0; c < quads; c += 8) {
            TM_UNROLL for (int i = 0; i < 4; i++) {
                int q = item / 64 * 4 + i;
                xs[item % 64][q] = tm_quad(from + (c + q) * 4);
                ws[item % 64][q] = w[(c + q) * 64 + item % 64];
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            uint x[2][4], weight[4][2];
            TM_UNROLL for (int i = 0; i < 2; i++) TM_UNROLL for (int k = 0; k < 4; k++)
                x[i][k] = xs[row_of_warp + i * 16 + lane / 4 + k % 2 * 8][lane % 4 + k / 2 * 4];
            TM_UNROLL for (int j = 0; j < 4; j++) TM_UNROLL for (int k = 0; k < 2; k++)
                weight[j][k] = ws[column_of_warp + j * 8 + lane / 4][lane % 4 + k * 4];
            TM_UNROLL for (int i = 0; i < 2; i++)
                TM_UNROLL for (int j = 0; j < 4; j++) TM_MMA(sums[i][j], x[i], weight[j]);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
    TM_UNROLL for (int i = 0; i < 2; i++) TM_UNROLL for (int j = 0; j < 4; j++) TM_UNROLL for (int low = 0; low < 2; low++) {
        int pixel = first_pixel + row_of_warp + i * 16 + lane / 4 + low * 8;
        int channel = block * 64 + column_of_warp + j * 8 + lane % 4 * 2, count = min(window.w - channel, 2);
        int few[4] = {sums[i][j][low * 2], sums[i][j][low * 2 + 1], 0, 0};
        if (pixel < pixels && count > 0)
            TM_STORE_FEW(few, pixel / (y_size.y * y_size.z), pixel / y_size.z % y_size.y, pixel % y_size.z,
                group * window.w + channel, count);
    }
}
