// Bytes taken from elsewhere. An item is a run of channels of the result.
// places: for each line (image and row) of y, then for each of its columns, then for each of its channels: what it adds to the
// offset in x; a negative one says that the fill stands there.
//   fill = the fill; 1 if the channels of y lie side by side in x
kernel void movement_run(
    global uchar *arena, global const int *restrict places, int x_origin, int4 size, int4 y_at, int2 fill
) {
    TM_RUN(size)
    global const int *channels = places + size.x * size.y + size.z + channel;
    int first = places[line], second = places[size.x * size.y + column];
    global uchar *y = arena + tm_at(y_at, image, row, column) + channel;
    if (first < 0 || second < 0) {
        tm_store16((uchar16)((uchar)fill.x), y, count);
        return;
    }
    global const uchar *x = arena + x_origin + first + second;
    if (fill.y) {
        tm_store16(tm_load16(x + channels[0], count), y, count);
        return;
    }
    for (int i = 0; i < count; i++) y[i] = channels[i] < 0 ? (uchar)fill.x : x[channels[i]];
}
