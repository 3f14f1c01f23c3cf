// ULX3S: 25 MHz in, a PLL, the engine behind the board's USB serial line, memory of leftover block RAM. A target's manifest has
// the parameters.
module top_ulx3s #(
  parameter int N = 16, NRQ = 8, BYL = 1, BXL = 2, DL = 10, WDL = 9, SUMSL = 8, FDL = 9, DSP = 7, PAIRS = 0,
  parameter bit ADD = 1,
  parameter int ML = 12,
  parameter int DIV = 33  // of the PLL's clock, to 3 Mbaud
) (
  input  logic clk_25mhz,
  input  logic ftdi_txd,
  output logic ftdi_rxd,
  output logic [7:0] led
);
  logic clk, locked, busy;
  pll u_pll (.clkin(clk_25mhz), .clkout0(clk), .locked);
  board #(.N(N), .NRQ(NRQ), .BYL(BYL), .BXL(BXL), .DL(DL), .WDL(WDL), .SUMSL(SUMSL), .FDL(FDL), .DSP(DSP), .PAIRS(PAIRS),
    .ADD(ADD), .ML(ML), .DIV(DIV)) u_board (.clk, .rx(ftdi_txd), .tx(ftdi_rxd), .busy);
  assign led = {6'b0, locked, busy};
endmodule
