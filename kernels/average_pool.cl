// Means of windows, rounded once. Sums wrap, as the contract's do. An item is a run of channels.

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
