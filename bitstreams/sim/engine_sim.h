/* The verilated engine with external memory, behind a C interface. */
#ifndef TILEMARK_ENGINE_SIM_H
#define TILEMARK_ENGINE_SIM_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct tm_engine tm_engine;

/* An engine that is out of reset, with zeroed memory of `bytes` bytes (rounded up to 16), at most 4 GiB. */
tm_engine *tm_engine_new(uint64_t bytes);
void tm_engine_free(tm_engine *engine);
/* The memory; the caller reads and writes it while no list runs. */
uint8_t *tm_engine_memory(tm_engine *engine);
uint64_t tm_engine_memory_bytes(const tm_engine *engine);
/* What the engine sees of it: so many bytes from `base` on, a multiple of 16, as if they began at 0. At the start all. */
void tm_engine_window(tm_engine *engine, uint64_t base, uint64_t bytes);
/* Registers, by offset in bytes; each access takes clocks. */
uint32_t tm_engine_read(tm_engine *engine, uint32_t offset);
void tm_engine_write(tm_engine *engine, uint32_t offset, uint32_t value);
/* Clocks until the engine is not busy, at most `max`; how many there were. */
uint64_t tm_engine_run(tm_engine *engine, uint64_t max);
int tm_engine_busy(const tm_engine *engine);
/* How memory behaves: clocks until an answer (at least 1); of 256 clocks, in how many it takes a read and a write, and in how
   many it gives an answer that is due; the seed of the draw. At the start 8, 256, 256, 256. */
void tm_engine_timing(tm_engine *engine, uint32_t latency, uint32_t reads, uint32_t writes, uint32_t answers, uint64_t seed);
/* Whether an address outside memory was asked for since the last call. Such reads give zeros, such writes are lost. */
int tm_engine_strayed(tm_engine *engine);

#ifdef __cplusplus
}
#endif
#endif
