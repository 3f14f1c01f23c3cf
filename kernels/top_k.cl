// The first bytes of lines in descending or ascending order, of equal ones the first, or their indices in 64 bits: a counting sort.
// A work-group of TM_ITEMS items takes a line; each item counts and places its own part of it, and the bytes of a sixteenth of all
// values.
// lines: for each line, offset of its first element in x and of its first result
//   elements = how many, bytes from one to the next, results wanted, bytes from one to the next
//   ranking  = what turns bytes so that small ones come first (255 or 0), 1 for indices
#define TM_ITEMS 16
#define TM_VALUES (256 / TM_ITEMS)
kernel __attribute__((reqd_work_group_size(TM_ITEMS, 1, 1))) void top_k_line(
    global uchar *arena, global const int2 *restrict lines, int4 elements, int2 ranking
) {
    // For every value, how many each item found; then where its next one goes.
    local int counts[256][TM_ITEMS], of_item[TM_ITEMS];
    int item = get_local_id(0);
    int2 line = lines[get_group_id(0)];
    global const uchar *x = arena + line.x;
    global uchar *y = arena + line.y;
    int part = (elements.x + TM_ITEMS - 1) / TM_ITEMS, first = item * part, end = min(first + part, elements.x);
    for (int value = 0; value < 256; value++) counts[value][item] = 0;
    for (int k = first; k < end; k++) counts[x[k * elements.y] ^ ranking.x][item]++;
    barrier(CLK_LOCAL_MEM_FENCE);
    int sum = 0;
    for (int value = item * TM_VALUES; value < (item + 1) * TM_VALUES; value++) {
        for (int other = 0; other < TM_ITEMS; other++) sum += counts[value][other];
    }
    of_item[item] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    int next = 0;
    for (int other = 0; other < item; other++) next += of_item[other];
    for (int value = item * TM_VALUES; value < (item + 1) * TM_VALUES; value++) {
        for (int other = 0; other < TM_ITEMS; other++) {
            int count = counts[value][other];
            counts[value][other] = next;
            next += count;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = first; k < end; k++) {
        uchar byte = x[k * elements.y];
        int rank = counts[byte ^ ranking.x][item]++;
        if (rank >= elements.z) continue;
        if (ranking.y) *(global long *)(y + rank * elements.w) = k;
        else y[rank * elements.w] = byte;
    }
}
