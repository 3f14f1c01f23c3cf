// Fully connected layers: rows of x times rows of weights, with an epilogue.
//   weights: [output][padded], rows of x's bytes rounded up to whole runs of 16, with zeros at the end
//   x_size   = images (1), rows, 1, channels; x_at and y_at as everywhere
//   padded   = bytes of a row of weights
//   channels, tables, clamp, numbers, lowest, bounds, other_at: see the prelude
#define TM_FC_ARGUMENTS \
    global uchar *arena, global const char *restrict weights, global const int2 *restrict channels, \
    global const uchar *restrict tables, int4 x_size, int4 x_at, int outputs, int4 y_at, int padded, int4 clamp, \
    float4 numbers, int4 lowest, int2 bounds, int4 other_at

// Products of 16 bytes and 16 weights: each fits 16 bits with its sign.
inline int16 tm_products(uchar16 x, char16 w) {
    return convert_int16(convert_short16(x) * convert_short16(w));
}

inline int tm_total(int16 sums) {
    int8 eight = sums.lo + sums.hi;
    int4 four = eight.lo + eight.hi;
    int2 two = four.lo + four.hi;
    return two.x + two.y;
}

#ifdef TM_ROWS
// TM_ROWS rows of one output an item, so that weights are read once for all of them: (output, rows / TM_ROWS).
kernel void fully_connected_rows(TM_FC_ARGUMENTS) {
    int output = get_global_id(0), first = TM_ROWS * (int)get_global_id(1);
    if (output >= outputs || first >= x_size.y) return;
    int16 sums[TM_ROWS];
    global const uchar *x[TM_ROWS];
    for (int i = 0; i < TM_ROWS; i++) {
        sums[i] = (int16)(0);
        x[i] = arena + tm_at(x_at, 0, min(first + i, x_size.y - 1), 0);
    }
    global const char *w = weights + output * padded;
    int k = 0;
    for (; k + 16 <= x_size.w; k += 16) {
        char16 weight = vload16(0, w + k);
        for (int i = 0; i < TM_ROWS; i++) sums[i] += tm_products(vload16(0, x[i] + k), weight);
    }
    if (k < x_size.w) {
        char16 weight = vload16(0, w + k);
        for (int i = 0; i < TM_ROWS; i++) sums[i] += tm_products(tm_load16(x[i] + k, x_size.w - k), weight);
    }
    for (int i = 0; i < TM_ROWS; i++) {
        int row = first + i;
        if (row >= x_size.y) return;
        int other = clamp.w & TM_SUM ? arena[tm_at(other_at, 0, row, 0) + output] : 0;
        arena[tm_at(y_at, 0, row, 0) + output] =
            tm_finish(tm_total(sums[i]), channels[output], clamp, tables, other, numbers, lowest, bounds);
    }
}
#endif

#ifdef TM_ITEMS
// One output of one row a work-group, whose TM_ITEMS items share its products: (item, output, row).
kernel __attribute__((reqd_work_group_size(TM_ITEMS, 1, 1))) void fully_connected_shared(TM_FC_ARGUMENTS) {
    local int parts[TM_ITEMS];
    int item = get_local_id(0), output = get_global_id(1), row = get_global_id(2);
    global const uchar *x = arena + tm_at(x_at, 0, row, 0);
    global const char *w = weights + output * padded;
    int16 sums = (int16)(0);
    for (int k = 16 * item; k < x_size.w; k += 16 * TM_ITEMS) {
        sums += tm_products(tm_load16(x + k, min(16, x_size.w - k)), vload16(0, w + k));
    }
    parts[item] = tm_total(sums);
    for (int half_of = TM_ITEMS / 2; half_of > 0; half_of /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_of) parts[item] += parts[item + half_of];
    }
    if (item == 0) {
        int other = clamp.w & TM_SUM ? arena[tm_at(other_at, 0, row, 0) + output] : 0;
        arena[tm_at(y_at, 0, row, 0) + output] =
            tm_finish(parts[0], channels[output], clamp, tables, other, numbers, lowest, bounds);
    }
}
#endif
