// Quantized products of two activations. An item is a run of up to 16 outputs in lanes: neighbours of one row, or the same
// element of matrices that lie interleaved.
//   size   = outer batch, rows, outputs of a row or 1, lanes
//   a_at, b_at, y_at: bytes along those axes but the lanes; b's row stride is that of a row of b, one product
//   steps  = bytes from lane to lane of a and b
//   depth  = products of an output, bytes from one to the next in a and in b, unused
//   zeros  = zero points of a and b as stored
kernel void matmul_run(
    global uchar *arena, int4 size, int4 a_at, int4 b_at, int4 y_at, int2 steps, int4 depth, int2 zeros,
    float multiplier, int4 clamp
) {
    TM_RUN(size)
    global const uchar *a = arena + tm_at(a_at, image, row, column) + channel * steps.x;
    global const uchar *b = arena + tm_at(b_at, image, row, column) + channel * steps.y;
    uint16 sums = (uint16)(0);
    for (int k = 0; k < depth.x; k++, a += depth.y, b += depth.z) {
        int16 left = convert_int16(tm_gather16(a, steps.x, count)) - zeros.x;
        sums += as_uint16(left * (convert_int16(tm_gather16(b, steps.y, count)) - zeros.y));
    }
    tm_store16(tm_requantize16(as_int16(sums), (float16)(multiplier), clamp), arena + tm_at(y_at, image, row, column) + channel, count);
}
