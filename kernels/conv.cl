// Convolutions over bytes, channels last. Weights are signed bytes; the sum of products is exact in 32 bits.
//
// Arguments common to all entry points:
//   arena                  all activations; x, y and the other operand of a sum lie in it
//   weights                packed as the entry point says
//   channels, tables       see the prelude
//   x_size, x_at, y_size, y_at
//   window = rows and columns of the kernel, input channels of a group, output channels of a group
//   steps  = vertical and horizontal stride, vertical and horizontal dilation
//   pad    = rows above, columns left, the byte that stands for zero, unused
//   clamp, numbers, lowest, bounds, other_at: see the prelude
#define TM_CONV_ARGUMENTS \
    global uchar *arena, global const char *restrict weights, global const int2 *restrict channels, \
    global const uchar *restrict tables, int4 x_size, int4 x_at, int4 y_size, int4 y_at, int4 window, int4 steps, \
    int4 pad, int4 clamp, float4 numbers, int4 lowest, int2 bounds, int4 other_at

// One output element an item: (channel, column, image * rows + row). Any geometry.
// weights: [output channel][kernel row][kernel column][input channel of the group]
kernel void conv_plain(TM_CONV_ARGUMENTS) {
    int channel = get_global_id(0), column = get_global_id(1);
    int image = get_global_id(2) / y_size.y, row = get_global_id(2) % y_size.y;
    int first = channel / window.w * window.z;
    global const char *w = weights + channel * window.x * window.y * window.z;
    int sum = 0;
    for (int ky = 0; ky < window.x; ky++) {
        int y = row * steps.x - pad.x + ky * steps.z;
        for (int kx = 0; kx < window.y; kx++, w += window.z) {
            int x = column * steps.y - pad.y + kx * steps.w;
            if (y < 0 || y >= x_size.y || x < 0 || x >= x_size.z) {
                for (int c = 0; c < window.z; c++) sum += pad.z * w[c];
            } else {
                global const uchar *from = arena + tm_at(x_at, image, y, x) + first;
                for (int c = 0; c < window.z; c++) sum += from[c] * w[c];
            }
        }
    }
    int other = clamp.w & TM_SUM ? arena[tm_at(other_at, image, row, column) + channel] : 0;
    arena[tm_at(y_at, image, row, column) + channel] =
        tm_finish(sum, channels[channel], clamp, tables, other, numbers, lowest, bounds);
}
