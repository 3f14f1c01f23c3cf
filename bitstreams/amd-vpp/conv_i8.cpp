// A dense int8 convolution for AMD's v++: one kernel, its stages joined by streams. Layouts and signs are those of
// ../intel-aoc/conv_i8.cl: activations [blocks][rows][columns][16], weights [output block][step][lane][16].
#include <hls_math.h>
#include <hls_stream.h>
#include <hls_vector.h>

#include <cmath>
#include <cstdint>

namespace {
constexpr int kLanes = 16;
constexpr int kMaxSteps = 1024;  // weights of one output block that fit on the chip
using Word = hls::vector<int8_t, kLanes>;
using Sums = hls::vector<int32_t, kLanes>;
using Scales = hls::vector<float, kLanes>;

void feed(const Word *x, hls::stream<Word> &words, int blocks_in, int rows_in, int columns_in, int blocks_out, int rows_out,
          int columns_out, int kernel_rows, int kernel_columns, int stride, int dilation, int above, int left, int8_t pad) {
    for (int block = 0; block < blocks_out; block++)
        for (int row = 0; row < rows_out; row++)
            for (int column = 0; column < columns_out; column++)
                for (int j = 0; j < kernel_rows; j++)
                    for (int i = 0; i < kernel_columns; i++)
                        for (int in = 0; in < blocks_in; in++) {
#pragma HLS PIPELINE II = 1
                            const int y = row * stride + j * dilation - above, c = column * stride + i * dilation - left;
                            const bool inside = y >= 0 && y < rows_in && c >= 0 && c < columns_in;
                            words.write(inside ? x[(in * rows_in + y) * columns_in + c] : Word(pad));
                        }
}

void mac(const Word *weights, hls::stream<Word> &words, hls::stream<Sums> &sums, int steps, int blocks_out, int pixels) {
    Word chip[kMaxSteps][kLanes];
#pragma HLS ARRAY_PARTITION variable = chip dim = 2 complete
    for (int block = 0; block < blocks_out; block++) {
        for (int i = 0; i < steps * kLanes; i++) chip[i / kLanes][i % kLanes] = weights[block * steps * kLanes + i];
        for (int pixel = 0; pixel < pixels; pixel++) {
            Sums total(0);
            for (int i = 0; i < steps; i++) {
#pragma HLS PIPELINE II = 1
                const Word in = words.read();
                for (int lane = 0; lane < kLanes; lane++)
                    for (int k = 0; k < kLanes; k++) total[lane] += int32_t(in[k]) * int32_t(chip[i][lane][k]);
            }
            sums.write(total);
        }
    }
}

// clamp(rint(f32(acc) * multiplier) + zero): each operation rounds once, to nearest even.
void drain(Word *y, const Sums *bias, const Scales *multipliers, hls::stream<Sums> &sums, int blocks_out, int pixels, int8_t zero,
           int8_t low, int8_t high) {
    for (int block = 0; block < blocks_out; block++)
        for (int pixel = 0; pixel < pixels; pixel++) {
#pragma HLS PIPELINE
            const Sums acc = sums.read();
            Word out;
            for (int lane = 0; lane < kLanes; lane++) {
                const float product = float(int32_t(acc[lane] + bias[block][lane])) * multipliers[block][lane];
                const float bounded = product < -512.0f ? -512.0f : product > 512.0f ? 512.0f : product;
                const int value = int(hls::rint(bounded)) + zero;
                out[lane] = int8_t(value < low ? low : value > high ? high : value);
            }
            y[block * pixels + pixel] = out;
        }
}
}  // namespace

extern "C" void conv_i8(const Word *x, const Word *weights, const Sums *bias, const Scales *multipliers, Word *y, int blocks_in,
                        int rows_in, int columns_in, int blocks_out, int rows_out, int columns_out, int kernel_rows,
                        int kernel_columns, int stride, int dilation, int above, int left, int8_t pad, int8_t zero, int8_t low,
                        int8_t high) {
#pragma HLS INTERFACE m_axi port = x bundle = gmem0
#pragma HLS INTERFACE m_axi port = weights bundle = gmem1
#pragma HLS INTERFACE m_axi port = bias bundle = gmem2
#pragma HLS INTERFACE m_axi port = multipliers bundle = gmem2
#pragma HLS INTERFACE m_axi port = y bundle = gmem3
#pragma HLS DATAFLOW
    hls::stream<Word> words("words");
    hls::stream<Sums> sums("sums");
    const int pixels = rows_out * columns_out;
    feed(x, words, blocks_in, rows_in, columns_in, blocks_out, rows_out, columns_out, kernel_rows, kernel_columns, stride,
         dilation, above, left, pad);
    mac(weights, words, sums, kernel_rows * kernel_columns * blocks_in, blocks_out, pixels);
    drain(y, bias, multipliers, sums, blocks_out, pixels, zero, low, high);
}
