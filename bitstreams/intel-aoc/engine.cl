// The engine of ../rtl/README.md as single-work-item kernels for Intel's FPGA SDK for OpenCL: the same list of descriptors, the same
// layouts, the same bits. Three kernels, joined by channels, walk the list together, each enqueued with one work item on a queue
// of its own: feed loads inputs and makes words of activations of them, multiply has the weights and sums up, drain makes
// results of sums and writes them.
//
// It has 16 lanes and one bank of activations, additions, and no QUAD (manifest.toml). A tile is loaded when the one before has
// been fed: slack asks for no less. It trusts its list: what is refused by the RTL is not looked for here. STAMP writes zeros.
#pragma OPENCL EXTENSION cl_intel_channels : enable
#pragma OPENCL FP_CONTRACT OFF

#define LANES 16
#define ACTIVATIONS 8192
#define WEIGHTS 512
#define SUMS 256

enum { CONV = 1, DEPTHWISE = 3, MAX = 4, ADD = 5, STAMP = 6 };

channel char16 activations __attribute__((depth(1024)));
channel int16 sums __attribute__((depth(256)));
// All results so far are in memory: before each tile that is fenced.
channel int written __attribute__((depth(4)));

typedef __global volatile const uint *Words;

// A field of a descriptor: bits from `low` on of a word.
uint field(Words d, int word, int low, int bits) { return d[word] >> low & (uint)((1ul << bits) - 1); }

bool flag(Words d, int bit) { return d[0] >> bit & 1; }

bool is_fenced(Words d) { return flag(d, 16) && flag(d, 25); }

Words descriptor(__global volatile char *memory, uint list, uint tile) {
  return (Words)(memory + list + tile * 128);
}

// Implicit im2col. Activations stay in `chip` for the tiles that load none.
__attribute__((max_global_work_dim(0)))
__kernel void tilemark_feed(__global volatile char *memory, const uint list, const uint tiles) {
  __local char16 chip[ACTIVATIONS];
  for (uint tile = 0; tile < tiles; tile++) {
    Words d = descriptor(memory, list, tile);
    const uint op = field(d, 0, 0, 8);
    if (op == STAMP) continue;
    const int rows = field(d, 6, 0, 16), columns = field(d, 6, 16, 16);
    const uint row_pitch = field(d, 8, 0, 16), plane_pitch = field(d, 8, 16, 16);
    if (is_fenced(d) && tile > 0) read_channel_intel(written);
    if (flag(d, 16)) {
      const uint planes = field(d, 7, 0, 16), base = field(d, 7, 16, 16);
      for (uint plane = 0; plane < planes; plane++)
        for (int row = 0; row < rows; row++)
          for (int column = 0; column < columns; column++) {
            const uint at = d[3] + plane * d[4] + row * d[5] + column * LANES;
            chip[base + plane * plane_pitch + row * row_pitch + column] = *(__global volatile char16 *)(memory + at);
          }
    }
    const int kernel_rows = field(d, 14, 0, 8), kernel_columns = field(d, 14, 8, 8);
    const int stride_rows = field(d, 14, 16, 8), stride_columns = field(d, 14, 24, 8);
    const int pitch_rows = field(d, 15, 0, 8), pitch_columns = field(d, 15, 8, 8), planes = field(d, 15, 16, 16);
    const int above = (short)field(d, 16, 0, 16), left = (short)field(d, 16, 16, 16);
    const int rows_out = field(d, 13, 0, 16), columns_out = field(d, 13, 16, 16), base = field(d, 18, 0, 16);
    const char16 pad = (char16)((char)field(d, 17, 0, 8));
    const char16 sign = (char16)(flag(d, 23) && op != ADD ? (char)-128 : (char)0);
    for (int pixel = 0; pixel < rows_out * columns_out; pixel++)
      for (int j = 0; j < kernel_rows; j++)
        for (int i = 0; i < kernel_columns; i++) {
          const int row = above + pixel / columns_out * stride_rows + j * pitch_rows;
          const int column = left + pixel % columns_out * stride_columns + i * pitch_columns;
          const bool inside = row >= 0 && row < rows && column >= 0 && column < columns;
          for (int plane = 0; plane < planes; plane++) {
            char16 word = pad;
            if (inside) word = chip[base + plane * plane_pitch + row * row_pitch + column] ^ sign;
            write_channel_intel(activations, word);
          }
        }
  }
}

// Bytes of constants before the weights.
uint before_weights(Words d) { return (flag(d, 17) ? 8 * LANES : 0) + (flag(d, 18) ? 1024 : 0); }

// 256 products a step. Weights stay in `chip` for the tiles that load none.
__attribute__((max_global_work_dim(0)))
__kernel void tilemark_multiply(__global volatile char *memory, const uint list, const uint tiles) {
  __local char16 chip[WEIGHTS][LANES];
  for (uint tile = 0; tile < tiles; tile++) {
    Words d = descriptor(memory, list, tile);
    const uint op = field(d, 0, 0, 8);
    if (op == STAMP) continue;
    if (flag(d, 19)) {
      const uint base = field(d, 10, 0, 16), count = field(d, 10, 16, 16), from = d[9] + before_weights(d);
      for (uint i = 0; i < count; i++)
        for (uint lane = 0; lane < LANES; lane++)
          chip[base + i][lane] = *(__global volatile char16 *)(memory + from + (i * LANES + lane) * LANES);
    }
    const int pixels = field(d, 13, 0, 16) * field(d, 13, 16, 16);
    const int steps = field(d, 14, 0, 8) * field(d, 14, 8, 8) * field(d, 15, 16, 16);
    const int base = field(d, 18, 16, 16);
    for (int pixel = 0; pixel < pixels; pixel++) {
      int16 total = (int16)(0);
      for (int step = 0; step < steps; step++) {
        const char16 word = read_channel_intel(activations);
        const int16 x = convert_int16(word);
        if (op == MAX) {
          total = step == 0 ? x : max(total, x);
        } else if (op == ADD) {
          // The first operand below, the second above.
          const int16 bits = convert_int16(as_uchar16(word));
          total = step == 0 ? bits : total | bits << 8;
        } else {
          int own[LANES], sum[LANES];
          vstore16(x, 0, own);
#pragma unroll
          for (int lane = 0; lane < LANES; lane++) {
            int w[LANES];
            vstore16(convert_int16(chip[base + step][lane]), 0, w);
            sum[lane] = 0;
            if (op == DEPTHWISE) {
              sum[lane] = own[lane] * w[0];
            } else {
#pragma unroll
              for (int k = 0; k < LANES; k++) sum[lane] += own[k] * w[k];
            }
          }
          total += vload16(0, sum);
        }
      }
      write_channel_intel(sums, total);
    }
  }
}

// Each operation rounds once, to nearest even. Beyond +-512 every zero point saturates.
int16 round_and_clamp(float16 value, Words d) {
  const int zero = (char)field(d, 17, 8, 8), low = (char)field(d, 17, 16, 8), high = (char)field(d, 17, 24, 8);
  return clamp(convert_int16(rint(clamp(value, -512.0f, 512.0f))) + zero, low, high);
}

__attribute__((max_global_work_dim(0)))
__kernel void tilemark_drain(__global volatile char *memory, const uint list, const uint tiles) {
  __local int16 biases[4], kept[SUMS];
  __local float16 multipliers[4];
  __local uint tables[2][256];
  for (uint tile = 0; tile < tiles; tile++) {
    Words d = descriptor(memory, list, tile);
    const uint op = field(d, 0, 0, 8), slot = field(d, 2, 8, 2), table = field(d, 2, 16, 1);
    if (flag(d, 17)) {
      biases[slot] = *(__global volatile int16 *)(memory + d[9]);
      multipliers[slot] = *(__global volatile float16 *)(memory + d[9] + 4 * LANES);
    }
    if (flag(d, 18)) {
      const uint from = d[9] + (flag(d, 17) ? 8 * LANES : 0);
      for (int i = 0; i < 256; i++) tables[table][i] = *(__global volatile uint *)(memory + from + 4 * i);
    }
    if (op == STAMP) {
      *(__global volatile char16 *)(memory + d[11]) = (char16)(0);
      continue;
    }
    const bool first = flag(d, 20), last = flag(d, 21), looked_up = flag(d, 22);
    const int16 flip = (int16)(flag(d, 24) ? 128 : 0);
    const int columns = field(d, 13, 16, 16), pixels = field(d, 13, 0, 16) * columns;
    const uint kept_at = field(d, 20, 0, 16);
    for (int pixel = 0; pixel < pixels; pixel++) {
      const int16 total = read_channel_intel(sums);
      int16 result;
      if (op == ADD) {
        const int16 low = total & 255;
        const int16 a = flag(d, 23) ? low : convert_int16(convert_char16(low << 24 >> 24));
        int b[LANES];
        float terms[LANES];
        vstore16(total >> 8 & 255, 0, b);
        for (int lane = 0; lane < LANES; lane++) terms[lane] = as_float(tables[table][b[lane]]);
        result = round_and_clamp(fma(convert_float16(a), (float16)(as_float(d[19])), vload16(0, terms)), d);
      } else {
        const int16 sum = total + (first ? biases[slot] : kept[kept_at + pixel]);
        if (!last) {
          kept[kept_at + pixel] = sum;
          continue;
        }
        result = round_and_clamp(convert_float16_rte(sum) * multipliers[slot], d);
      }
      result = (result ^ flip) & 255;
      if (looked_up) {
        int at[LANES];
        vstore16(result, 0, at);
        for (int lane = 0; lane < LANES; lane++) at[lane] = tables[table][at[lane]] & 255;
        result = vload16(0, at);
      }
      const uint to = d[11] + pixel / columns * d[12] + pixel % columns * LANES;
      *(__global volatile uchar16 *)(memory + to) = convert_uchar16(result);
    }
    if (tile + 1 < tiles && is_fenced(descriptor(memory, list, tile + 1))) {
      mem_fence(CLK_GLOBAL_MEM_FENCE | CLK_CHANNEL_MEM_FENCE);
      write_channel_intel(written, 1);
    }
  }
}
