#!/bin/sh
# Never run: needs AMD's Vitis, and a card's platform. PLATFORM names it.
set -eu
here=$(dirname "$0")
v++ -c -t hw --platform "${PLATFORM:?the card's platform}" -k conv_i8 -o conv_i8.xo "$here/conv_i8.cpp"
v++ -l -t hw --platform "$PLATFORM" -o conv_i8.xclbin conv_i8.xo
