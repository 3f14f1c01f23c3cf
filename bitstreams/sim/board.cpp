// A board's design (rtl/board.sv) as a program: what goes over its serial line. An order on stdin, until its end: u32 n, u32 m,
// n bytes that are sent; the answer is the next m bytes that come back, or fewer if they do not come within `kPatience` clocks,
// after their number as u32.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <vector>

#include "Vboard.h"
#include "verilated.h"

namespace {
constexpr int kDiv = 4;  // the parameter DIV that it is built with
constexpr uint64_t kPatience = 1000000;

struct Board {
    VerilatedContext context;
    std::unique_ptr<Vboard> top;
    std::deque<uint8_t> to;
    std::vector<uint8_t> from;
    int send_clock = 0, send_bit = 0, take_clock = -1, take_bit = 0;
    uint16_t sending = 0;
    uint8_t taking = 0;

    Board() {
        context.randReset(2);
        top = std::make_unique<Vboard>(&context);
        top->rx = 1;
        for (int i = 0; i < 300; i++) clock();  // it resets itself
    }

    void clock() {
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
        if (send_clock > 0) {
            send_clock--;
        } else if (send_bit > 0) {
            top->rx = sending & 1;
            sending >>= 1;
            send_bit--;
            send_clock = kDiv - 1;
        } else if (!to.empty()) {
            sending = static_cast<uint16_t>(0x200 | to.front() << 1);
            to.pop_front();
            send_bit = 10;
        }
        if (take_clock < 0) {
            if (!top->tx) take_clock = kDiv + kDiv / 2 - 1, take_bit = 0;
        } else if (take_clock-- == 0) {
            if (take_bit < 8) taking = static_cast<uint8_t>(taking >> 1 | (top->tx ? 0x80 : 0));
            if (take_bit == 8) from.push_back(taking);
            take_clock = take_bit == 8 ? -1 : kDiv - 1;
            take_bit++;
        }
    }
};
}  // namespace

int main() {
    FILE *answers = fdopen(dup(STDOUT_FILENO), "wb");
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setvbuf(stdout, nullptr, _IONBF, 0);
    Board board;
    uint32_t sizes[2];
    while (std::fread(sizes, sizeof sizes, 1, stdin) == 1) {
        std::vector<uint8_t> bytes(sizes[0]);
        if (std::fread(bytes.data(), 1, bytes.size(), stdin) != bytes.size()) return 1;
        board.to.assign(bytes.begin(), bytes.end());
        while (!board.to.empty() || board.send_bit > 0 || board.send_clock > 0) board.clock();
        for (uint64_t i = 0; i < kPatience && board.from.size() < sizes[1]; i++) board.clock();
        uint32_t got = board.from.size() < sizes[1] ? static_cast<uint32_t>(board.from.size()) : sizes[1];
        if (std::fwrite(&got, sizeof got, 1, answers) != 1 || std::fwrite(board.from.data(), 1, got, answers) != got) return 1;
        board.from.erase(board.from.begin(), board.from.begin() + got);
        std::fflush(answers);
    }
}

double sc_time_stamp() { return 0; }
