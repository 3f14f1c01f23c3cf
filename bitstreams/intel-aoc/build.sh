#!/bin/sh
# Never run: needs Intel's FPGA SDK for OpenCL (discontinued) and a board's support package. BOARD names the board.
set -eu
aoc -board="${BOARD:?the name of the board in its support package}" -o engine.aocx "$(dirname "$0")/engine.cl"
