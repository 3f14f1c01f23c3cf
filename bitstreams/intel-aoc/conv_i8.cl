// A dense int8 convolution for Intel's FPGA SDK for OpenCL: three single-work-item kernels, joined by channels. Layouts are
// those of the engine with 16 lanes (../rtl/README.md): activations [blocks][rows][columns][16], weights for each output block
// and step a word [lane][input], steps in the order kernel row, kernel column, input block.
//
// All three are enqueued with one work item, on queues of their own. Bytes are signed: unsigned tensors are given with their
// top bit inverted, as are zero points and bounds. `bias` has the input's zero point folded in.
#pragma OPENCL EXTENSION cl_intel_channels : enable
#pragma OPENCL FP_CONTRACT OFF

// Weights of one output block that fit on the chip: kernel rows * kernel columns * input blocks.
#define MAX_STEPS 1024

channel char16 activations __attribute__((depth(64)));
channel int16 sums __attribute__((depth(8)));

typedef struct {
  int blocks_in, rows_in, columns_in;
  int blocks_out, rows_out, columns_out;
  int kernel_rows, kernel_columns;
  int stride_rows, stride_columns;
  int dilation_rows, dilation_columns;
  int above, left;
} Shape;

// Implicit im2col: a word of activations for each step.
__attribute__((max_global_work_dim(0)))
__kernel void conv_feed(__global const char16 *restrict x, const Shape s, const char pad) {
  for (int block = 0; block < s.blocks_out; block++)
    for (int row = 0; row < s.rows_out; row++)
      for (int column = 0; column < s.columns_out; column++)
        for (int j = 0; j < s.kernel_rows; j++)
          for (int i = 0; i < s.kernel_columns; i++) {
            const int y = row * s.stride_rows + j * s.dilation_rows - s.above;
            const int c = column * s.stride_columns + i * s.dilation_columns - s.left;
            const bool inside = y >= 0 && y < s.rows_in && c >= 0 && c < s.columns_in;
            for (int in = 0; in < s.blocks_in; in++) {
              char16 word = (char16)(pad);
              if (inside) word = x[(in * s.rows_in + y) * s.columns_in + c];
              write_channel_intel(activations, word);
            }
          }
}

// 256 products a step.
__attribute__((max_global_work_dim(0)))
__kernel void conv_mac(__global const char16 *restrict weights, const Shape s) {
  const int steps = s.kernel_rows * s.kernel_columns * s.blocks_in;
  for (int block = 0; block < s.blocks_out; block++) {
    __local char16 chip[MAX_STEPS][16];
    for (int i = 0; i < steps; i++)
      for (int lane = 0; lane < 16; lane++) chip[i][lane] = weights[(block * steps + i) * 16 + lane];
    for (int pixel = 0; pixel < s.rows_out * s.columns_out; pixel++) {
      int total[16];
#pragma unroll
      for (int lane = 0; lane < 16; lane++) total[lane] = 0;
      for (int i = 0; i < steps; i++) {
        const char16 word = read_channel_intel(activations);
        char in[16];
        vstore16(word, 0, in);
#pragma unroll
        for (int lane = 0; lane < 16; lane++) {
          char w[16];
          vstore16(chip[i][lane], 0, w);
          int sum = 0;
#pragma unroll
          for (int k = 0; k < 16; k++) sum += (int)in[k] * (int)w[k];
          total[lane] += sum;
        }
      }
      write_channel_intel(sums, vload16(0, total));
    }
  }
}

// clamp(rint(f32(acc) * multiplier) + zero): each operation rounds once, to nearest even.
__attribute__((max_global_work_dim(0)))
__kernel void conv_drain(__global char16 *restrict y, __global const int16 *restrict bias,
                         __global const float16 *restrict multipliers, const Shape s,
                         const char zero, const char low, const char high) {
  const int pixels = s.rows_out * s.columns_out;
  for (int block = 0; block < s.blocks_out; block++)
    for (int pixel = 0; pixel < pixels; pixel++) {
      const int16 acc = read_channel_intel(sums) + bias[block];
      const float16 product = convert_float16_rte(acc) * multipliers[block];
      // Beyond +-512 every zero point saturates, and the conversion stays in range.
      const int16 rounded = convert_int16(rint(clamp(product, -512.0f, 512.0f)));
      y[block * pixels + pixel] = convert_char16(clamp(rounded + (int)zero, (int)low, (int)high));
    }
}
