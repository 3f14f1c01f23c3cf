// The compact engine's requantizer alone, as a program with the orders and answers of requant.cpp.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "Vrescale.h"
#include "verilated.h"

namespace {
struct Vector {
    int32_t acc;
    uint32_t scale, t;
};

// Clocks after which a result that is not there never will be.
constexpr int kPatience = 1000;

bool rescale(Vrescale &top, const Vector &vector, uint8_t &answer) {
    auto clock = [&top] {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
    };
    top.acc = static_cast<uint32_t>(vector.acc);
    top.scale = ~vector.scale;  // each is there when it is looked at, and not before
    top.t = ~vector.t;
    top.start = 1;
    clock();
    top.start = 0;
    top.scale = vector.scale;
    clock();
    top.scale = ~vector.scale;
    top.t = vector.t;
    clock();
    top.t = ~vector.t;
    for (int i = 0; i < kPatience && !top.done; i++) clock();
    answer = top.q;
    return top.done;
}
}  // namespace

int main() {
    VerilatedContext context;
    auto top = std::make_unique<Vrescale>(&context);
    struct {
        uint32_t n;
        int8_t zero, lo, hi;
        uint8_t add;
    } order;
    top->rst = 1;
    top->eval();
    top->clk = 1;
    top->eval();
    top->rst = 0;
    while (std::fread(&order, sizeof order, 1, stdin) == 1) {
        std::vector<Vector> vectors(order.n);
        std::vector<uint8_t> answers(order.n);
        if (std::fread(vectors.data(), sizeof(Vector), order.n, stdin) != order.n) return 1;
        top->zero = static_cast<uint8_t>(order.zero);
        top->lo = static_cast<uint8_t>(order.lo);
        top->hi = static_cast<uint8_t>(order.hi);
        top->add = order.add;
        for (uint32_t i = 0; i < order.n; i++)
            if (!rescale(*top, vectors[i], answers[i])) return 1;
        if (std::fwrite(answers.data(), 1, order.n, stdout) != order.n) return 1;
        std::fflush(stdout);
    }
}
