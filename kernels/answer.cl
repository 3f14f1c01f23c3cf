// The known-answer test of a device's arithmetic: what it gives here is compared with the host's, bit for bit.
//   in, 15 numbers an item, floats by their bits: sum, multiplier, lo, hi, zero point, a, b, ra, rb, c, x, y, z, i, j
//   out, 10 numbers an item
kernel void answer_arithmetic(global int *out, global const int *restrict in) {
    in += 15 * get_global_id(0);
    out += 10 * get_global_id(0);
    int sum = in[0], a = in[5], b = in[6];
    float multiplier = as_float(in[1]), x = as_float(in[10]), y = as_float(in[11]), z = as_float(in[12]);
    float4 numbers = (float4)(as_float(in[7]), as_float(in[8]), as_float(in[9]), 0.0f);
    out[0] = tm_requantize(sum, multiplier, (int4)(in[2], in[3], in[4], 0));
    out[1] = as_int(convert_float_rte(sum));
    out[2] = as_int(convert_float_rte(sum) * multiplier);
    out[3] = tm_add(a, b, numbers, in[2], in[3]);
    out[4] = as_int(fma(x, y, z));
    out[5] = as_int(x * y + z);
    out[6] = convert_int_rte(x);
    out[7] = as_int(rint(x));
    out[8] = as_int(as_uint(in[13]) * as_uint(in[14]) + as_uint(sum));
    ulong i = as_uint(in[13]), j = as_uint(in[14]);
    out[9] = (int)(uint)max(max(i << 32 | j, i << 32 | as_uint(sum)), j << 32 | i);
}
