// ULX3S (LFE5U-85F): 25 MHz in, a PLL, the engine behind the board's USB serial line, memory of leftover block RAM.
module top_ulx3s #(
  parameter int DIV = 33  // of the PLL's clock, to 3 Mbaud
) (
  input  logic clk_25mhz,
  input  logic ftdi_txd,
  output logic ftdi_rxd,
  output logic [7:0] led
);
  logic clk, locked, busy;
  pll u_pll (.clkin(clk_25mhz), .clkout0(clk), .locked);
  board #(.DIV(DIV)) u_board (.clk, .rx(ftdi_txd), .tx(ftdi_rxd), .busy);
  assign led = {6'b0, locked, busy};
endmodule
