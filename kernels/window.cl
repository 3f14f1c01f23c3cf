// What the programs of convolutions share. Weights are signed bytes; the sum of products is exact in 32 bits.
//
// Arguments common to all entry points:
//   arena                  all activations; x, y and the other operand of a sum lie in it
//   weights                packed as the entry point says, zeros where there is no channel
//   border                 bytes that stand for zero, for as many channels as an item reads at once
//   channels, tables       see the prelude
//   x_size, x_at, y_size, y_at
//   window = rows and columns of the kernel, input channels of a group, output channels of a group
//   steps  = vertical and horizontal stride, vertical and horizontal dilation
//   pad    = rows above, columns left, the byte that stands for zero, input channels of a group as packed
//   clamp, numbers, lowest, bounds, other_at: see the prelude
#define TM_CONV_ARGUMENTS \
    global uchar *arena, global const char *restrict weights, global const uchar *restrict border, \
    global const int2 *restrict channels, global const uchar *restrict tables, int4 x_size, int4 x_at, int4 y_size, \
    int4 y_at, int4 window, int4 steps, int4 pad, int4 clamp, float4 numbers, int4 lowest, int2 bounds, int4 other_at

// Where the channels of an input pixel lie, be it of the image or of its padding.
inline global const uchar *tm_pixel(
    global const uchar *arena, global const uchar *border, int4 x_size, int4 x_at, int image, int row, int column
) {
    bool inside = row >= 0 && row < x_size.y && column >= 0 && column < x_size.z;
    return inside ? arena + tm_at(x_at, image, row, column) : border;
}

// Four neighbouring bytes. TM_ALIGNED says that all tensors allow loads of words.
inline uint tm_quad(global const uchar *from) {
#ifdef TM_ALIGNED
    return *(global const uint *)from;
#else
    return as_uint(vload4(0, from));
#endif
}

// sum + four products of an unsigned by a signed byte.
//   TM_DOT 1: cl_khr_integer_dot_product, 2: NVIDIA's dp4a, otherwise written out
//   TM_ASM: the compiler's word for inline assembly, where it is not NVIDIA's
#ifndef TM_ASM
#define TM_ASM asm
#endif
#if TM_DOT == 1
#pragma OPENCL EXTENSION cl_khr_integer_dot_product : enable
#endif
inline int tm_dot4(uint x, uint w, int sum) {
#if TM_DOT == 1
    return sum + dot_4x8packed_us_int(x, w);
#elif TM_DOT == 2
    int result;
    TM_ASM("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(x), "r"(w), "r"(sum));
    return result;
#else
    uchar4 a = as_uchar4(x);
    char4 b = as_char4(w);
    return sum + (int)a.x * b.x + (int)a.y * b.y + (int)a.z * b.z + (int)a.w * b.w;
#endif
}

// Writes the bytes of up to 16 neighbouring channels of one output.
#define TM_STORE_BLOCK(sums, image, row, column, first, count) \
    do { \
        global uchar *to = arena + tm_at(y_at, image, row, column) + (first); \
        global const uchar *with = arena + tm_at(other_at, image, row, column) + (first); \
        uchar16 bytes = tm_finish16(sums, channels + (first), clamp, tables, \
            clamp.w & TM_SUM ? tm_load16(with, count) : (uchar16)(0), numbers, lowest, bounds); \
        tm_store16(bytes, to, count); \
    } while (0)

// The same for up to 4 channels, whose sums are an array.
#define TM_STORE_FEW(sums, image, row, column, first, count) \
    do { \
        global uchar *to = arena + tm_at(y_at, image, row, column) + (first); \
        global const uchar *with = arena + tm_at(other_at, image, row, column) + (first); \
        TM_UNROLL for (int k = 0; k < 4; k++) \
            if (k < (count)) \
                to[k] = tm_finish((sums)[k], channels[(first) + k], clamp, tables, clamp.w & TM_SUM ? with[k] : 0, \
                    numbers, lowest, bounds); \
    } while (0)
