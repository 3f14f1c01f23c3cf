// Look-up of every byte: y = tables[x]. An item is one element: (channel, column, image * rows + row), or none beyond the last
// channel.
kernel void table_plain(global uchar *arena, global const uchar *restrict tables, int4 x_at, int4 y_size, int4 y_at) {
    int channel = get_global_id(0), column = get_global_id(1);
    int image = get_global_id(2) / y_size.y, row = get_global_id(2) % y_size.y;
    if (channel >= y_size.w) return;
    arena[tm_at(y_at, image, row, column) + channel] = tables[arena[tm_at(x_at, image, row, column) + channel]];
}
