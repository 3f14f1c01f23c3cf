// The requantizer alone, as a program. An order on stdin, until its end: u32 n, i8 zero, lo, hi, u8 add, then n times
// i32 acc, u32 scale, u32 t. The answer: n bytes.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "Vrequant.h"
#include "verilated.h"

namespace {
constexpr uint32_t kLatency = 23;
struct Vector {
    int32_t acc;
    uint32_t scale, t;
};
}  // namespace

int main() {
    VerilatedContext context;
    auto top = std::make_unique<Vrequant>(&context);
    struct {
        uint32_t n;
        int8_t zero, lo, hi;
        uint8_t add;
    } order;
    while (std::fread(&order, sizeof order, 1, stdin) == 1) {
        std::vector<Vector> vectors(order.n);
        std::vector<uint8_t> answers(order.n);
        if (std::fread(vectors.data(), sizeof(Vector), order.n, stdin) != order.n) return 1;
        top->zero = static_cast<uint8_t>(order.zero);
        top->lo = static_cast<uint8_t>(order.lo);
        top->hi = static_cast<uint8_t>(order.hi);
        top->add = order.add;
        for (uint32_t i = 0; i < order.n + kLatency - 1; i++) {
            const Vector &in = vectors[i < order.n ? i : order.n - 1];
            top->acc = static_cast<uint32_t>(in.acc);
            top->scale = in.scale;
            top->t = in.t;
            top->clk = 0;
            top->eval();
            top->clk = 1;
            top->eval();
            if (i + 1 >= kLatency) answers[i + 1 - kLatency] = top->q;
        }
        if (std::fwrite(answers.data(), 1, order.n, stdout) != order.n) return 1;
        std::fflush(stdout);
    }
}

double sc_time_stamp() { return 0; }
