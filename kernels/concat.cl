// Copies a tensor to where it is a part of the joined one. An item is a run of channels.
kernel void concat_run(global uchar *arena, int4 size, int4 x_at, int x_step, int4 y_at) {
    TM_RUN(size)
    uchar16 x = tm_gather16(arena + tm_at(x_at, image, row, column) + channel * x_step, x_step, count);
    tm_store16(x, arena + tm_at(y_at, image, row, column) + channel, count);
}
