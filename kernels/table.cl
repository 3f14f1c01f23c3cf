// Look-up of every byte: y = table[x]. An item is a run of channels.
kernel void table_run(
    global uchar *arena, global const uchar *restrict table, int4 size, int4 x_at, int x_step, int4 y_at
) {
    TM_RUN(size)
    uchar16 x = tm_gather16(arena + tm_at(x_at, image, row, column) + channel * x_step, x_step, count);
    tm_store16(tm_look_up16(x, table), arena + tm_at(y_at, image, row, column) + channel, count);
}
