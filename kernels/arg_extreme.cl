// Index of the largest or smallest byte along an axis, in 64 bits. A work-group has TM_RESULTS results, and TM_ITEMS items that
// share the elements of each.
// places: as movement.cl has them, of the first element of every result
//   elements = how many, bytes from one to the next
//   ranking  = what turns bytes so that the largest wins (0 or 255), and indices so that of equal bytes the largest does (0 or -1)
#ifdef TM_ITEMS
kernel __attribute__((reqd_work_group_size(TM_RESULTS, TM_ITEMS, 1))) void arg_extreme_run(
    global uchar *arena, global const int *restrict places, int x_origin, int4 size, int4 y_at, int2 elements, int2 ranking
) {
    local ulong best_of[TM_ITEMS][TM_RESULTS];
    int result = get_global_id(0), item = get_local_id(1), slot = get_local_id(0);
    int channel = result % size.w, column = result / size.w % size.z, line = result / size.w / size.z;
    int lines = size.x * size.y;
    ulong best = 0;
    if (line < lines) {
        global const uchar *x = arena + x_origin + places[line] + places[lines + column] + places[lines + size.z + channel];
        for (int k = item; k < elements.x; k += TM_ITEMS) {
            uint key = x[k * elements.y] ^ ranking.x;
            best = max(best, (ulong)key << 32 | (uint)(k ^ ranking.y));
        }
    }
    best_of[item][slot] = best;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item == 0 && line < lines) {
        for (int other = 1; other < TM_ITEMS; other++) best = max(best, best_of[other][slot]);
        int at = tm_at(y_at, line / size.y, line % size.y, column) + channel * 8;
        *(global long *)(arena + at) = (int)(uint)best ^ ranking.y;
    }
}
#endif
