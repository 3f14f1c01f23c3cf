// Largest bytes of windows; a window in the padding gives 0. An item is a run of channels.
// spans: for each row of y, then for each of its columns: first row (column) of x under the window, how many, unused, unused.
//   steps = rows and columns of x from tap to tap
kernel void max_pool_run(
    global uchar *arena, global const int4 *restrict spans, int4 x_at, int4 y_size, int4 y_at, int2 steps
) {
    TM_RUN(y_size)
    int4 down = spans[row], along = spans[y_size.y + column];
    uchar16 y = (uchar16)(0);
    for (int i = 0; i < down.y; i++) {
        for (int j = 0; j < along.y; j++) {
            int place = tm_at(x_at, image, down.x + i * steps.x, along.x + j * steps.y) + channel;
            y = max(y, tm_load16(arena + place, count));
        }
    }
    tm_store16(y, arena + tm_at(y_at, image, row, column) + channel, count);
}
