// The verilated engine and its external memory. See engine_sim.h.
#include "engine_sim.h"

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "Vengine.h"
#include "verilated.h"

namespace {
// A word of memory is the width of the engine's ports: 4, 8 or 16 bytes.
constexpr uint32_t kWord = sizeof(Vengine::rsp_data);

struct SplitMix {
    uint64_t state = 0;
    uint32_t below256() {
        uint64_t z = state += 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return static_cast<uint32_t>(z >> 56);
    }
};

struct Answer {
    uint64_t due;
    uint8_t bytes[kWord];
};
}  // namespace

struct tm_engine {
    VerilatedContext context;
    std::unique_ptr<Vengine> top;
    std::vector<uint8_t> memory;
    std::deque<Answer> answers;
    SplitMix random;
    uint64_t now = 0;
    uint32_t latency = 8, reads = 256, writes = 256, answered = 256;
    bool strayed = false;
    uint64_t base = 0, size = 0;

    explicit tm_engine(uint64_t bytes) : memory((bytes + 15) / 16 * 16) {
        size = memory.size();
        context.randReset(2);  // nothing may depend on what memories and registers hold at power-on
        context.randSeed(1);
        top = std::make_unique<Vengine>(&context);
        top->rst = 1;
        for (int i = 0; i < 64; i++) clock();  // as long as the pipeline is
        top->rst = 0;
        clock();
    }

    bool chance(uint32_t of256) { return of256 >= 256 || random.below256() < of256; }

    uint8_t *at(uint32_t address) {
        if (uint64_t{address} + kWord <= size) return &memory[base + address];
        strayed = true;
        return nullptr;
    }

    void clock() {
        // Inputs of this clock: they depend on the state before it alone.
        top->clk = 0;
        top->rd_ready = chance(reads);
        top->wr_ready = chance(writes);
        top->rsp_valid = !answers.empty() && answers.front().due <= now && chance(answered);
        if (top->rsp_valid) std::memcpy(&top->rsp_data, answers.front().bytes, kWord);
        top->eval();
        if (!top->rst) {
            if (top->rsp_valid) answers.pop_front();
            if (top->rd_valid && top->rd_ready) read();
            if (top->wr_valid && top->wr_ready)
                if (uint8_t *to = at(top->wr_addr)) std::memcpy(to, &top->wr_data, kWord);
        }
        top->clk = 1;
        top->eval();
        now++;
    }

    void read() {
        Answer answer{now + latency, {}};
        if (const uint8_t *from = at(top->rd_addr)) std::memcpy(answer.bytes, from, kWord);
        answers.push_back(answer);
    }
};

extern "C" {
tm_engine *tm_engine_new(uint64_t bytes) { return new tm_engine(bytes); }
void tm_engine_free(tm_engine *engine) { delete engine; }
uint8_t *tm_engine_memory(tm_engine *engine) { return engine->memory.data(); }
void tm_engine_window(tm_engine *engine, uint64_t base, uint64_t bytes) {
    const uint64_t all = engine->memory.size();
    engine->base = base < all ? base : all;
    engine->size = bytes < all - engine->base ? bytes : all - engine->base;
}
uint64_t tm_engine_memory_bytes(const tm_engine *engine) { return engine->memory.size(); }
int tm_engine_busy(const tm_engine *engine) { return engine->top->busy; }

uint32_t tm_engine_read(tm_engine *engine, uint32_t offset) {
    Vengine &top = *engine->top;
    top.reg_valid = 1;
    top.reg_write = 0;
    top.reg_addr = static_cast<uint8_t>(offset / 4);
    engine->clock();
    top.reg_valid = 0;
    return top.reg_rdata;
}

void tm_engine_write(tm_engine *engine, uint32_t offset, uint32_t value) {
    Vengine &top = *engine->top;
    top.reg_valid = 1;
    top.reg_write = 1;
    top.reg_addr = static_cast<uint8_t>(offset / 4);
    top.reg_wdata = value;
    engine->clock();
    top.reg_valid = 0;
    top.reg_write = 0;
}

uint64_t tm_engine_run(tm_engine *engine, uint64_t max) {
    uint64_t clocks = 0;
    for (; clocks < max && engine->top->busy; clocks++) engine->clock();
    return clocks;
}

void tm_engine_timing(tm_engine *engine, uint32_t latency, uint32_t reads, uint32_t writes, uint32_t answers, uint64_t seed) {
    engine->latency = latency > 0 ? latency : 1;
    engine->reads = reads;
    engine->writes = writes;
    engine->answered = answers;
    engine->random.state = seed;
}

int tm_engine_strayed(tm_engine *engine) {
    bool strayed = engine->strayed;
    engine->strayed = false;
    return strayed;
}
}

double sc_time_stamp() { return 0; }
