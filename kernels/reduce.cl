// Means over any axes, rounded once. Sums wrap, as the contract's do. A work-group has TM_RUNS runs of results, and TM_ITEMS items
// that share the elements of each.
// places: as movement.cl has them, of the first element of every result
// offsets: what every element of a result adds to that
//   elements = how many, the sum of their zero points, 1 if neighbours' elements lie side by side, unused
#ifdef TM_ITEMS
kernel __attribute__((reqd_work_group_size(TM_RUNS, TM_ITEMS, 1))) void reduce_mean_run(
    global uchar *arena, global const int *restrict places, global const int *restrict offsets, int x_origin,
    int4 size, int4 y_at, int4 elements, float multiplier, int4 clamp
) {
    local uint16 parts[TM_ITEMS][TM_RUNS];
    int runs = (size.w + 15) / 16, run = get_global_id(0), item = get_local_id(1), slot = get_local_id(0);
    int channel = run % runs * 16, column = run / runs % size.z, line = run / runs / size.z;
    int count = line < size.x * size.y ? min(16, size.w - channel) : 0;
    uint16 sums = (uint16)(0);
    if (count > 0) {
        global const int *channels = places + size.x * size.y + size.z + channel;
        global const uchar *x = arena + x_origin + places[line] + places[size.x * size.y + column];
        for (int k = item; k < elements.x; k += TM_ITEMS) {
            if (elements.z) {
                sums += convert_uint16(tm_load16(x + channels[0] + offsets[k], count));
            } else {
                uchar bytes[16];
                for (int i = 0; i < 16; i++) bytes[i] = i < count ? x[channels[i] + offsets[k]] : 0;
                sums += convert_uint16(vload16(0, bytes));
            }
        }
    }
    parts[item][slot] = sums;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item == 0 && count > 0) {
        for (int other = 1; other < TM_ITEMS; other++) sums += parts[other][slot];
        uchar16 y = tm_requantize16(as_int16(sums - (uint)elements.y), (float16)(multiplier), clamp);
        tm_store16(y, arena + tm_at(y_at, line / size.y, line % size.y, column) + channel, count);
    }
}
#endif
