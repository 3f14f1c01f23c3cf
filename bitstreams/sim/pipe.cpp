// The engine as a program: orders on stdin, answers on stdout, so that tests need no foreign functions.
// All numbers are little-endian. An order is a letter and its operands:
//   M u64 bytes                     a new engine with so much memory
//   W u32 address, u32 n, n bytes   writes memory            R u32 address, u32 n -> n bytes
//   w u32 offset, u32 value         writes a register        r u32 offset -> u32
//   T u32 x 4, u64                  timing of memory: latency, reads, writes, answers, seed
//   G u64 max -> u64 clocks, u8 busy, u8 strayed             runs
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "engine_sim.h"

namespace {
// Where answers go: stdout as it was. What Verilator prints, such as a failed assertion, goes to stderr.
FILE *answers;

void must(bool good, const char *what) {
    if (good) return;
    std::fprintf(stderr, "engine simulator: %s\n", what);
    std::exit(1);
}
template <typename T>
T get() {
    T value;
    must(std::fread(&value, sizeof value, 1, stdin) == 1, "an order is cut short");
    return value;
}
template <typename T>
void put(T value) {
    must(std::fwrite(&value, sizeof value, 1, answers) == 1, "stdout is closed");
}
}  // namespace

int main() {
    answers = fdopen(dup(STDOUT_FILENO), "wb");
    setvbuf(stdout, nullptr, _IONBF, 0);
    must(answers && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0, "stdout cannot be kept apart");
    tm_engine *engine = tm_engine_new(0);
    for (int order; (order = std::getchar()) != EOF;) {
        if (order == 'M') {
            auto bytes = get<uint64_t>();
            tm_engine_free(engine);
            engine = tm_engine_new(bytes);
        } else if (order == 'W' || order == 'R') {
            auto address = get<uint32_t>(), n = get<uint32_t>();
            must(uint64_t{address} + n <= tm_engine_memory_bytes(engine), "an access is outside memory");
            uint8_t *at = tm_engine_memory(engine) + address;
            if (order == 'W') must(std::fread(at, 1, n, stdin) == n, "an order is cut short");
            if (order == 'R') must(std::fwrite(at, 1, n, answers) == n, "stdout is closed");
        } else if (order == 'w') {
            auto offset = get<uint32_t>();
            tm_engine_write(engine, offset, get<uint32_t>());
        } else if (order == 'r') {
            put(tm_engine_read(engine, get<uint32_t>()));
        } else if (order == 'T') {
            uint32_t chances[4];
            for (auto &chance : chances) chance = get<uint32_t>();
            tm_engine_timing(engine, chances[0], chances[1], chances[2], chances[3], get<uint64_t>());
        } else if (order == 'G') {
            put(tm_engine_run(engine, get<uint64_t>()));
            put(static_cast<uint8_t>(tm_engine_busy(engine)));
            put(static_cast<uint8_t>(tm_engine_strayed(engine)));
        } else {
            must(false, "no such order");
        }
        if (order == 'R' || order == 'r' || order == 'G') std::fflush(answers);
    }
    tm_engine_free(engine);
}
