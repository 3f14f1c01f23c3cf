// Means of windows and of whole images, rounded once. Sums wrap, as the contract's do. An item is a run of channels.

// spans: for each row of y, then for each of its columns: first row (column) of x under the window, how many, a class, unused.
// multipliers: by class of row and class of column.
//   steps = rows and columns of x from tap to tap, classes of columns, zero point of x
kernel void average_pool_run(
    global uchar *arena, global const int4 *restrict spans, global const float *restrict multipliers,
    int4 x_at, int4 y_size, int4 y_at, int4 steps, int4 clamp
) {
    TM_RUN(y_size)
    int4 down = spans[row], along = spans[y_size.y + column];
    uint16 sums = (uint16)(0);
    for (int i = 0; i < down.y; i++) {
        for (int j = 0; j < along.y; j++) {
            int place = tm_at(x_at, image, down.x + i * steps.x, along.x + j * steps.y) + channel;
            sums += convert_uint16(tm_load16(arena + place, count));
        }
    }
    sums -= (uint)(down.y) * (uint)(along.y) * (uint)(steps.w);
    uchar16 y = tm_requantize16(as_int16(sums), (float16)(multipliers[down.z * steps.z + along.z]), clamp);
    tm_store16(y, arena + tm_at(y_at, image, row, column) + channel, count);
}

// A whole image: the TM_ITEMS items of a work-group share its pixels. `zeros`: the sum of all pixels' zero points.
#ifdef TM_ITEMS
kernel __attribute__((reqd_work_group_size(1, TM_ITEMS, 1))) void global_average_pool_run(
    global uchar *arena, int4 x_size, int4 x_at, int4 y_at, uint zeros, float multiplier, int4 clamp
) {
    local uint16 parts[TM_ITEMS];
    int channel = 16 * (int)get_global_id(0), item = get_local_id(1), image = get_global_id(2);
    int count = min(16, x_size.w - channel);
    uint16 sums = (uint16)(0);
    for (int pixel = item; pixel < x_size.y * x_size.z; pixel += TM_ITEMS) {
        int place = tm_at(x_at, image, pixel / x_size.z, pixel % x_size.z) + channel;
        sums += convert_uint16(tm_load16(arena + place, count));
    }
    parts[item] = sums;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item == 0) {
        for (int other = 1; other < TM_ITEMS; other++) sums += parts[other];
        uchar16 y = tm_requantize16(as_int16(sums - zeros), (float16)(multiplier), clamp);
        tm_store16(y, arena + tm_at(y_at, image, 0, 0) + channel, count);
    }
}
#endif
